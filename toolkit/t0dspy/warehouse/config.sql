-- The text of a config that a gateway has loaded, by its hash as /status spells it (a decimal number).
SELECT config FROM ConfigSnapshot WHERE hash = toUInt256({hash:String}) ORDER BY last_used DESC LIMIT 1
