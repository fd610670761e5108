-- The text of a config that a gateway has loaded, by its hash in the format of /status (a decimal number).
SELECT config FROM ConfigSnapshot WHERE hash = toUInt256({hash:String}) ORDER BY last_used DESC LIMIT 1
