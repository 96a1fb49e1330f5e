-- Tokens, and probabilities of tokens

SELECT bitnet_tokenize(NULL) IS NULL AS tokenize, bitnet_detokenize(NULL) IS NULL AS detokenize,
	bitnet_count_tokens(NULL) IS NULL AS count, bitnet_truncate(NULL, 1) IS NULL AS truncate,
	bitnet_truncate('a', NULL) IS NULL AS truncate_n, bitnet_logprob(NULL) IS NULL AS logprob;
SELECT bitnet_tokenize('') AS tokenize, bitnet_detokenize('{}') = '' AS detokenize,
	bitnet_count_tokens('') AS count, bitnet_truncate('', 3) = '' AS truncate;

-- There and back
SELECT id, bitnet_detokenize(bitnet_tokenize(body)) = body AS round_trip,
	bitnet_count_tokens(body) = cardinality(bitnet_tokenize(body)) AS count,
	bitnet_count_tokens(body) <= octet_length(body) AS at_most_bytes
FROM samples ORDER BY id;

-- A text's beginning: as long as allowed, at the end of a character, no longer
SELECT bool_and(starts_with(body, bitnet_truncate(body, n))) AS beginning,
	bool_and(bitnet_count_tokens(bitnet_truncate(body, n)) <= n) AS short_enough,
	bool_and(bitnet_truncate(body, bitnet_count_tokens(body)) = body) AS whole,
	bool_and(bitnet_truncate(body, 0) = '') AS nothing,
	bool_and(bitnet_truncate(body, 2147483647) = body) AS no_limit
FROM samples, generate_series(0, 30) n;

-- Names of special tokens in a text are text
SELECT bitnet_count_tokens('<|eot_id|>') > 1 AS plain,
	bitnet_detokenize(bitnet_tokenize('a<|eot_id|>b')) AS round_trip;

-- Ids that do not exist
SELECT e.code, e.message, e.detail FROM unnest(ARRAY[
	$$SELECT bitnet_detokenize('{-1}')$$,
	$$SELECT bitnet_detokenize('{1,NULL}')$$,
	$$SELECT bitnet_detokenize('{2147483647}')$$,
	$$SELECT bitnet_truncate('a', -1)$$,
	$$SELECT * FROM bitnet_next_tokens('a', 0)$$,
	$$SELECT * FROM bitnet_next_tokens('a', -5)$$,
	$$SELECT * FROM bitnet_next_tokens('a', options => '{"top_k": 1}')$$]) q, error_of(q) e;

-- The next token: a distribution over the whole vocabulary, best first
SELECT count(*) FROM bitnet_next_tokens(NULL);
SELECT count(*) FROM bitnet_next_tokens('abc');
SELECT count(*) FROM bitnet_next_tokens('abc', NULL);
SELECT count(*) = (SELECT vocab_size FROM bitnet_models WHERE name = 'default') AS all_tokens,
	count(DISTINCT token_id) = count(*) AS distinct_tokens,
	abs(sum(exp(logprob)) - 1) < 1e-9 AS adds_up, max(logprob) < 0 AS negative,
	array_agg(logprob ORDER BY ord) = array_agg(logprob ORDER BY logprob DESC) AS sorted
FROM bitnet_next_tokens('abc', 2147483647) WITH ORDINALITY AS n(token_id, token, logprob, ord);
SELECT (SELECT array_agg(n) FROM bitnet_next_tokens('abc', 5) n) =
	(SELECT array_agg(n) FROM (SELECT * FROM bitnet_next_tokens('abc', 50) LIMIT 5) n) AS fewer;

-- The probability of a text is that of its tokens, one after the other
SELECT bool_and(abs(bitnet_logprob(convert_from(token, 'UTF8'), ctx) - logprob) < 1e-9)
FROM unnest(ARRAY['abc', 'x y', '']) ctx,
	bitnet_next_tokens(ctx, 400, options => '{"raw": true}')
WHERE token ~~ ' %' AND encode(token, 'escape') ~ '^ [a-z]+$' AND
	bitnet_tokenize(ctx || convert_from(token, 'UTF8')) = bitnet_tokenize(ctx) || token_id;
SELECT abs(bitnet_logprob(' brown fox', 'The quick') -
	bitnet_logprob(' brown', 'The quick') - bitnet_logprob(' fox', 'The quick brown')) < 1e-9 AS chain,
	bitnet_logprob('The quick', '') = bitnet_logprob('The quick') AS no_context,
	bitnet_logprob('The quick', NULL) = bitnet_logprob('The quick') AS null_context,
	bitnet_logprob('brown', 'The quick ') = bitnet_logprob(' brown', 'The quick') AS space_moves,
	bitnet_logprob('', 'The quick') AS nothing,
	bitnet_logprob('The quick brown', '') < bitnet_logprob('The quick', '') AS less;
SELECT code, message FROM error_of('SELECT bitnet_logprob(repeat(''hello world '', 100000))');
