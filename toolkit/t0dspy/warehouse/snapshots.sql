-- Configs that the gateway had, by their hash.
SELECT toString(hash) AS hash, any(config) AS config FROM ConfigSnapshot
WHERE has({hashes:Array(String)}, toString(hash))
GROUP BY hash
