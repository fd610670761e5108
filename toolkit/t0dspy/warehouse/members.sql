-- The candidates of one portion; of all that are not left out, every so many-th when there is a limit.
SELECT id, episode_id FROM (
    SELECT
        id, episode_id,
        {offset:UInt64} + row_number() OVER (ORDER BY id_uint) AS rank,
        {limit:UInt64} AS most,
        {total:UInt64} AS total
    FROM (/* candidates.sql */)
    WHERE left_out = '' AND id_uint BETWEEN {first:UInt128} AND {last:UInt128}
)
WHERE most >= total OR intDiv(rank * most, total) != intDiv((rank - 1) * most, total)
