-- The candidates of one portion that are not left out; with a limit, an evenly spaced sample of them.
SELECT id, episode_id FROM (/* part_candidates.sql */)
WHERE left_out = '' AND id_uint BETWEEN {first:UInt128} AND {last:UInt128}
QUALIFY -- if sampled
    intDiv(({offset:UInt64} + row_number() OVER (ORDER BY id_uint)) * {limit:UInt64}, {total:UInt64}) -- if sampled
    != intDiv(({offset:UInt64} + row_number() OVER (ORDER BY id_uint) - 1) * {limit:UInt64}, {total:UInt64}) -- if sampled
