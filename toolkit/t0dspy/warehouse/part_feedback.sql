-- The feedback before `until` on each of the `targets` or its episode, as a JSON array of rows. A row has a name (a
-- metric, `demonstration` or `comment`), a rater, a value, the fields of a demonstration that nobody gave, and the id
-- of the feedback. The array has every rater's latest value of each metric, every rater's latest demonstration, and
-- all comments.
SELECT id, toJSONString(groupArray((name, rater, value, filled, toString(feedback)))) AS feedback_json
FROM (
    SELECT
        t.id AS id, m.name AS name, m.rater AS rater, argMax(m.text, toUInt128(m.feedback)) AS value, '' AS filled,
        argMax(m.feedback, toUInt128(m.feedback)) AS feedback
    FROM (
        SELECT target_id, toString(metric_name) AS name, /* part_rater.sql */ AS rater, toString(value) AS text, id AS feedback
        FROM BooleanMetricFeedback
        WHERE toUInt128(id) < {until:UInt128} AND NOT startsWith(metric_name, 'tensorzero::')
            AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
        UNION ALL
        SELECT target_id, toString(metric_name) AS name, /* part_rater.sql */ AS rater, toString(value) AS text, id AS feedback
        FROM FloatMetricFeedback AS f
        WHERE toUInt128(id) < {until:UInt128} AND NOT startsWith(metric_name, 'tensorzero::') AND isFinite(f.value)
            AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
    ) AS m
    INNER JOIN (SELECT id, arrayJoin([id, episode_id]) AS target FROM targets) AS t ON m.target_id = t.target
    GROUP BY id, name, rater
    UNION ALL
    SELECT
        inference_id AS id, 'demonstration' AS name, /* part_rater.sql */ AS rater,
        argMax(d.value, toUInt128(d.id)) AS value, argMax(tags[{filled:String}], toUInt128(d.id)) AS filled,
        argMax(d.id, toUInt128(d.id)) AS feedback
    FROM DemonstrationFeedback AS d
    WHERE toUInt128(d.id) < {until:UInt128} AND inference_id IN (SELECT id FROM targets)
        AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
    GROUP BY inference_id, rater
    UNION ALL
    SELECT t.id AS id, 'comment' AS name, /* part_rater.sql */ AS rater, c.value AS value, '' AS filled, c.id AS feedback
    FROM CommentFeedback AS c
    INNER JOIN (SELECT id, arrayJoin([id, episode_id]) AS target FROM targets) AS t ON c.target_id = t.target
    WHERE toUInt128(c.id) < {until:UInt128}
        AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
)
GROUP BY id
