-- bitnet_classify and bitnet_classify_scores

-- NULL and blank input
SELECT bitnet_classify(NULL, '{a,b}') IS NULL AS input,
	bitnet_classify('x', NULL) IS NULL AS labels,
	bitnet_classify('', '{a,b}') IS NULL AS empty,
	bitnet_classify(E' \n\t\u3000', '{a,b}') IS NULL AS blank;
SELECT count(*) FROM bitnet_classify_scores(NULL, '{a,b}');
SELECT count(*) FROM bitnet_classify_scores(' ', '{a,b}');

-- The answer is one of the labels, and the most probable one
SELECT id, bitnet_classify(body, '{bug,question,praise}') = ANY ('{bug,question,praise}') AS in_list,
	bitnet_classify(body, '{bug,question,praise}') =
		(SELECT label FROM bitnet_classify_scores(body, '{bug,question,praise}') LIMIT 1) AS best
FROM samples ORDER BY id;

-- Probabilities of all labels, most probable first, that add up to one
SELECT bool_and(n = 4 AND labels = '{bug,other,praise,"two words"}' AND
	abs(total - 1) < 1e-12 AND sorted AND least >= 0) AS good
FROM samples,
	LATERAL (SELECT count(*) AS n, array_agg(label ORDER BY label COLLATE "C") AS labels,
			sum(probability) AS total, min(probability) AS least,
			array_agg(probability ORDER BY ord) = array_agg(probability ORDER BY probability DESC) AS sorted
		FROM bitnet_classify_scores(body, ARRAY['two words', 'bug', 'praise', 'other'])
			WITH ORDINALITY AS s(label, probability, ord)) s;

-- The same twice; labels of any script
SELECT bool_and(bitnet_classify(body, '{ja,nein}') = bitnet_classify(body, '{ja,nein}')) FROM samples;
SELECT bitnet_classify('x', ARRAY['質問', 'ошибка', '🎉']) = ANY (ARRAY['質問', 'ошибка', '🎉']) AS in_list;

-- An instruction is part of the question
SELECT (SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}')) <>
	(SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}', 'Guess.')) AS differs;
SELECT (SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}')) =
	(SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}',
		'Choose the category that fits the text below best.')) AS published;

-- Too long
SELECT code, message FROM error_of(
	'SELECT bitnet_classify(repeat(''hello world '', 100000), ''{a,b}'')');
SELECT bitnet_classify(repeat('hello world ', 100000), '{a,b}',
	options => '{"on_overflow": "truncate"}') = ANY ('{a,b}') AS truncated;
SELECT bitnet_classify('hello', '{a,b}', options => '{"on_overflow": "truncate"}') =
	bitnet_classify('hello', '{a,b}') AS fits;

-- Labels that are no choice
SELECT e.* FROM unnest(ARRAY[
	$$SELECT bitnet_classify('x', '{}')$$,
	$$SELECT bitnet_classify('x', '{a}')$$,
	$$SELECT bitnet_classify('x', '{a,b,a}')$$,
	$$SELECT bitnet_classify('x', '{a,NULL}')$$,
	$$SELECT bitnet_classify('x', '{a,""}')$$,
	$$SELECT bitnet_classify('', '{a}')$$,
	$$SELECT bitnet_classify_scores('x', '{a,a}')$$]) q, error_of(q) e;
