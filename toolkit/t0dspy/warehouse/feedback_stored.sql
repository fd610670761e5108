-- Whether a piece of feedback is stored: one row if it is, none if it is not.
SELECT toString(id) FROM BooleanMetricFeedback WHERE metric_name = {metric:String} AND target_id = {target:UUID} AND id = {id:UUID}
UNION ALL
SELECT toString(id) FROM FloatMetricFeedback WHERE metric_name = {metric:String} AND target_id = {target:UUID} AND id = {id:UUID}
UNION ALL
SELECT toString(id) FROM DemonstrationFeedback WHERE {metric:String} = 'demonstration' AND inference_id = {target:UUID} AND id = {id:UUID}
UNION ALL
SELECT toString(id) FROM CommentFeedback WHERE {metric:String} = 'comment' AND target_id = {target:UUID} AND id = {id:UUID}
