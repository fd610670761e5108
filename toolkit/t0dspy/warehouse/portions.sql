-- The candidates divided into portions, oldest first, each of at most `rows` inferences and about `bytes` bytes. The
-- size includes the stages, as if all runs had equally large ones. There is one more row per reason to leave out.
SELECT left_out, count() AS number, min(id_uint) AS first, max(id_uint) AS last
FROM (
    SELECT
        left_out,
        id_uint,
        sum(if(left_out = '', greatest(1 / {rows:UInt64}, weight / {bytes:UInt64}), 0)) OVER (ORDER BY id_uint) AS filled
    FROM (
        SELECT left_out, id_uint, size + {stage_bytes:UInt64} / count() OVER () AS weight FROM (/* part_candidates.sql */)
    )
)
GROUP BY left_out, if(left_out = '', toUInt64(filled * 0.999999), 0)
ORDER BY left_out, first
