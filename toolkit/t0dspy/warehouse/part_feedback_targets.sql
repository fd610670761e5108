-- The ids of inferences and episodes that people gave feedback on within the window.
SELECT target_id FROM BooleanMetricFeedback
WHERE toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128} AND NOT startsWith(metric_name, 'tensorzero::')
    AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
UNION ALL
SELECT target_id FROM FloatMetricFeedback
WHERE toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128} AND NOT startsWith(metric_name, 'tensorzero::')
    AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
UNION ALL
SELECT target_id FROM CommentFeedback
WHERE toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128}
    AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
UNION ALL
SELECT inference_id AS target_id FROM DemonstrationFeedback
WHERE toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128}
    AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
