-- The candidates in portions, oldest first, none of more than `rows` inferences or (give or take one) `bytes`;
-- and one row for each reason why some are left out.
SELECT left_out, count() AS number, min(id_uint) AS first, max(id_uint) AS last
FROM (
    SELECT
        left_out,
        id_uint,
        if(left_out = '', intDiv(row_number() OVER (PARTITION BY left_out ORDER BY id_uint) - 1, {rows:UInt64}), 0) AS by_rows,
        if(left_out = '', intDiv(sum(size) OVER (PARTITION BY left_out ORDER BY id_uint), {bytes:UInt64}), 0) AS by_bytes
    FROM (/* candidates.sql */)
)
GROUP BY left_out, by_rows, by_bytes
ORDER BY left_out, first
