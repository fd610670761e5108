-- What people said of each of the `targets`, on it or its episode, before `until`: the latest value of every metric as
-- a JSON object, the latest demonstration with the fields that nobody gave, and the comments as a JSON array.
SELECT
    id,
    toJSONString(mapFromArrays(groupArrayIf(name, kind = 'metric'), groupArrayIf(latest, kind = 'metric'))) AS metrics,
    anyIf(latest, kind = 'demonstration') AS demonstration,
    anyIf(name, kind = 'demonstration') AS filled,
    if(has(groupArray(kind), 'comment'), toJSONString(anyIf(said, kind = 'comment')), '') AS comments
FROM (
    SELECT t.id AS id, 'metric' AS kind, toString(m.metric_name) AS name, argMax(m.text, m.at) AS latest, [] AS said
    FROM (
        SELECT target_id, metric_name, toString(value) AS text, toUInt128(id) AS at FROM BooleanMetricFeedback
        WHERE toUInt128(id) < {until:UInt128} AND NOT startsWith(metric_name, 'tensorzero::')
        UNION ALL
        SELECT target_id, metric_name, toString(value) AS text, toUInt128(id) AS at FROM FloatMetricFeedback
        WHERE toUInt128(id) < {until:UInt128} AND NOT startsWith(metric_name, 'tensorzero::') AND isFinite(value)
    ) AS m
    INNER JOIN (SELECT id, arrayJoin([id, episode_id]) AS target FROM targets) AS t ON m.target_id = t.target
    GROUP BY id, name
    UNION ALL
    SELECT
        inference_id AS id, 'demonstration' AS kind, argMax(tags[{filled:String}], toUInt128(d.id)) AS name,
        argMax(value, toUInt128(d.id)) AS latest, [] AS said
    FROM DemonstrationFeedback AS d
    WHERE toUInt128(d.id) < {until:UInt128} AND inference_id IN (SELECT id FROM targets)
    GROUP BY inference_id
    UNION ALL
    SELECT
        t.id AS id, 'comment' AS kind, '' AS name, '' AS latest,
        arrayMap(one -> one.2, arraySort(groupArray((toUInt128(c.id), c.value)))) AS said
    FROM CommentFeedback AS c
    INNER JOIN (SELECT id, arrayJoin([id, episode_id]) AS target FROM targets) AS t ON c.target_id = t.target
    WHERE toUInt128(c.id) < {until:UInt128}
    GROUP BY id
)
GROUP BY id
