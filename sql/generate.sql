-- bitnet_generate and bitnet_chat.  What a model says is not tested here, but
-- what must hold whatever it says.

-- NULL and empty input
SELECT bitnet_generate(NULL::text) IS NULL AS text,
	bitnet_generate(NULL::text[]) IS NULL AS texts,
	bitnet_chat(NULL) IS NULL AS chat;
SELECT bitnet_generate('', 4) IS NOT NULL AS empty,
	bitnet_generate('', 4, options => '{"raw": true}') IS NOT NULL AS empty_raw,
	bitnet_generate('{}'::text[]);

-- The same question gets the same answer
SELECT bool_and(bitnet_generate(body, 16) = bitnet_generate(body, 16)) FROM samples;

-- A longer answer begins with the shorter one
SELECT bool_and(starts_with(bitnet_generate(body, 24), bitnet_generate(body, 7))) FROM samples;

-- Many together answer like each alone; NULL elements stay where they are
SELECT bitnet_generate(array_agg(body ORDER BY id), 16) =
	array_agg(bitnet_generate(body, 16) ORDER BY id) FROM samples;
SELECT bitnet_generate(ARRAY['a', NULL, 'b'], 8) =
	ARRAY[bitnet_generate('a', 8), NULL, bitnet_generate('b', 8)];
SELECT array_dims(bitnet_generate('[3:4][0:1]={{a,b},{c,NULL}}'::text[], 2));

-- Greedy by default: the seed counts only with a temperature
SELECT bitnet_generate('abc', 16, seed => 5) = bitnet_generate('abc', 16) AS seed,
	bitnet_generate('abc', 16, temperature => 0) = bitnet_generate('abc', 16) AS temperature,
	bitnet_generate('abc', 16, temperature => 2, options => '{"top_k": 1}') =
		bitnet_generate('abc', 16) AS top_k,
	bitnet_generate('abc', 16, temperature => 2, options => '{"min_p": 1}') =
		bitnet_generate('abc', 16) AS min_p,
	bitnet_generate('abc', 16, options => '{"top_p": 1, "repeat_penalty": 1, "raw": null}') =
		bitnet_generate('abc', 16) AS neutral;
SELECT bitnet_generate('abc', 32, 1.0, 7) = bitnet_generate('abc', 32, 1.0, 7) AS same_seed,
	bitnet_generate('abc', 32, 1.0, 7) <> bitnet_generate('abc', 32, 1.0, 8) AS other_seed,
	bitnet_generate('abc', 32, 1.0) = bitnet_generate('abc', 32, 1.0, 0) AS default_seed,
	bitnet_generate('abc', 32, 1.0, -9223372036854775808) IS NOT NULL AS least_seed;
SELECT bitnet_generate(ARRAY['a', 'b', 'c'], 16, 1.0, 3) =
	ARRAY[bitnet_generate('a', 16, 1.0, 3), bitnet_generate('b', 16, 1.0, 3),
		bitnet_generate('c', 16, 1.0, 3)] AS seed_in_array;

-- An answer ends before the first stop string, wherever that begins or ends (the
-- temperature makes it a long one)
WITH answer AS (SELECT bitnet_generate('Count to ten.', 20, 9.0, 1) AS a)
SELECT bool_and(bitnet_generate('Count to ten.', 20, 9.0, 1, ARRAY[substr(a, i, 4)]) =
	split_part(a, substr(a, i, 4), 1))
FROM answer, generate_series(1, length(a) - 3) i;
WITH answer AS (SELECT bitnet_generate('Count to ten.', 20, 9.0, 1) AS a)
SELECT bitnet_generate('Count to ten.', 20, 9.0, 1, ARRAY['not in it', substr(a, 12, 2), substr(a, 9, 5)]) =
	split_part(split_part(a, substr(a, 9, 5), 1), substr(a, 12, 2), 1) AS earliest,
	bitnet_generate('Count to ten.', 20, 9.0, 1, '{}') = a AS none
FROM answer;

-- What chooses the tokens gets through: all but the best shut out, and repeating
SELECT bool_and(bitnet_generate(body, 6, 2.0, id) <> greedy) AS hot,
	bool_and(bitnet_generate(body, 6, 2.0, id, options => '{"top_k": 1}') = greedy) AS top_k,
	bool_and(bitnet_generate(body, 6, 2.0, id, options => '{"top_p": 1e-9}') = greedy) AS top_p
FROM samples, LATERAL bitnet_generate(body, 6) AS greedy WHERE id <= 3;
SELECT bool_or(bitnet_generate(body, 16, options => '{"raw": true, "repeat_penalty": 100}') <>
	bitnet_generate(body, 16, options => '{"raw": true}')) AS penalty FROM samples;

-- Without the chat form the text itself goes on
SELECT bool_and(replace(bitnet_generate(body, 1, options => '{"raw": true}'), U&'\FFFD', '') =
	replace(bitnet_detokenize(ARRAY[(SELECT token_id FROM
		bitnet_next_tokens(body, 1, options => '{"raw": true}'))]), U&'\FFFD', ''))
FROM samples;
SELECT bool_and(replace(bitnet_generate(body, 1), U&'\FFFD', '') =
	replace(bitnet_detokenize(ARRAY[(SELECT token_id FROM
		bitnet_next_tokens(body, 1))]), U&'\FFFD', ''))
FROM samples;

-- A conversation of one message is a prompt
SELECT bool_and(bitnet_chat(jsonb_build_array(
		jsonb_build_object('role', 'user', 'content', body)), 12) = bitnet_generate(body, 12)) AS plain,
	bool_and(bitnet_chat(jsonb_build_array(
		jsonb_build_object('role', 'system', 'content', 'Be brief.'),
		jsonb_build_object('content', body, 'role', 'user')), 12) =
		bitnet_generate(body, 12, system => 'Be brief.')) AS with_system,
	bool_and(bitnet_chat(jsonb_build_array(
		jsonb_build_object('role', 'user', 'content', body)), 12, system => 'Be brief.') =
		bitnet_generate(body, 12, system => 'Be brief.')) AS system_argument
FROM samples;
SELECT bitnet_chat('[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
	{"role": "user", "content": "c"}]', 8) IS NOT NULL AS turns;

SELECT bitnet_chat(jsonb_build_array(jsonb_build_object('role', 'user', 'content', body)), 12, 1.0, 7, '{e}', options => '{"top_k": 5}') =
	bitnet_generate(body, 12, 1.0, 7, '{e}', options => '{"top_k": 5}') AS arguments
FROM samples WHERE id = 1;

-- The context limits an answer without an error, as long as there is room at all
SELECT context_length AS context FROM bitnet_models WHERE name = 'default' \gset
SELECT bitnet_generate(bitnet_truncate(repeat('hello world ', 2 * :context), :context - 4), 50,
		options => '{"raw": true}') =
	bitnet_generate(bitnet_truncate(repeat('hello world ', 2 * :context), :context - 4), 3,
		options => '{"raw": true}') AS limited;
SELECT code, message, detail, hint FROM error_of(
	'SELECT bitnet_generate(repeat(''hello world '', 100000), 50)');

-- Settings
SET bitnet.max_tokens = 3;
SELECT bitnet_generate('abc') = bitnet_generate('abc', 3) AS default_length;
RESET bitnet.max_tokens;
SET bitnet.threads = 2;
SELECT bitnet_generate('abc', 16) AS two_threads \gset
SET bitnet.threads = 1;
SELECT bitnet_generate('abc', 16) = :'two_threads' AS threads;
RESET bitnet.threads;
SET bitnet.kernel = 'scalar';
SELECT bitnet_generate('abc', 16) = :'two_threads' AS kernels;
RESET bitnet.kernel;
