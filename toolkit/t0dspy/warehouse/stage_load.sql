-- Whether any stage of the program was given feedback within the window, and how much the stages of the window are.
SELECT
    max(id IN (/* heard.sql */) OR episode_id IN (/* heard.sql */)) AS graded,
    sumIf(length(input) + length(output), toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128}) AS bytes
FROM (/* stage_rows.sql */)
