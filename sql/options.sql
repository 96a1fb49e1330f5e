-- Arguments and options that are wrong, and what is said of them

SELECT e.* FROM unnest(ARRAY[
	$$SELECT bitnet_generate('x', 0)$$,
	$$SELECT bitnet_generate('x', -3)$$,
	$$SELECT bitnet_generate('x', 2147483647)$$,
	$$SELECT bitnet_generate('x', temperature => -0.1)$$,
	$$SELECT bitnet_generate('x', temperature => 'NaN')$$,
	$$SELECT bitnet_generate('x', temperature => 'Infinity')$$,
	$$SELECT bitnet_generate('x', stop => '{""}')$$,
	$$SELECT bitnet_generate('x', stop => '{a,NULL}')$$,
	$$SELECT bitnet_generate('x', stop => array_fill('s'::text, '{1025}'))$$,
	$$SELECT bitnet_generate('x', system => 's', options => '{"raw": true}')$$,
	$$SELECT bitnet_generate('x', options => '{"no_such_key": 1}')$$,
	$$SELECT bitnet_generate('x', options => jsonb_build_object(repeat('é', 100000), 1))$$,
	$$SELECT bitnet_generate('x', options => '{"max_tokens": 1}')$$,
	$$SELECT bitnet_chat('[]', options => '{"system": "Be brief."}')$$,
	$$SELECT bitnet_chat('[]', options => '{"raw": true}')$$,
	$$SELECT bitnet_generate('x', options => '{"labels": ["a"]}')$$,
	$$SELECT bitnet_generate('x', options => '[]')$$,
	$$SELECT bitnet_generate('x', options => '1')$$,
	$$SELECT bitnet_generate('x', options => '{"top_k": -1}')$$,
	$$SELECT bitnet_generate('x', options => '{"top_k": 1.5}')$$,
	$$SELECT bitnet_generate('x', options => '{"top_k": 1e30}')$$,
	$$SELECT bitnet_generate('x', options => '{"top_k": "1"}')$$,
	$$SELECT bitnet_generate('x', options => '{"top_p": 0}')$$,
	$$SELECT bitnet_generate('x', options => '{"top_p": 1.01}')$$,
	$$SELECT bitnet_generate('x', options => '{"top_p": true}')$$,
	$$SELECT bitnet_generate('x', options => '{"min_p": -0.5}')$$,
	$$SELECT bitnet_generate('x', options => '{"min_p": 2}')$$,
	$$SELECT bitnet_generate('x', options => '{"repeat_penalty": 0}')$$,
	$$SELECT bitnet_generate('x', options => '{"repeat_penalty": 1e400}')$$,
	$$SELECT bitnet_generate('x', options => '{"repeat_penalty": 1e-300}')$$,
	$$SELECT bitnet_generate('x', options => '{"repeat_penalty": 100.1}')$$,
	$$SELECT bitnet_generate('x', options => '{"raw": 1}')$$,
	$$SELECT bitnet_generate(ARRAY['x'], options => '{"raw": {}}')$$,
	$$SELECT bitnet_generate('x', 1, options => '{"top_k": 3.0, "top_p": 0.5, "min_p": 0}')$$,
	$$SELECT bitnet_generate(NULL::text, -1)$$]) q, error_of(q) e;

SELECT e.* FROM unnest(ARRAY[
	$$SELECT bitnet_summarize('x', 0)$$,
	$$SELECT bitnet_summarize('x', -1)$$,
	$$SELECT bitnet_summarize('x', options => '{"raw": true}')$$,
	$$SELECT bitnet_summarize('x', options => '{"max_tokens": 0}')$$,
	$$SELECT bitnet_summarize('x', options => '{"seed": 1.5}')$$,
	$$SELECT bitnet_summarize('x', options => '{"seed": 1e20}')$$,
	$$SELECT bitnet_summarize('x', options => '{"temperature": "hot"}')$$,
	$$SELECT bitnet_classify('x', '{a,b}', options => '{"on_overflow": "ignore"}')$$,
	$$SELECT bitnet_classify('x', '{a,b}', options => '{"labels": []}')$$,
	$$SELECT * FROM bitnet_next_tokens('x', options => '{"raw": "yes"}')$$]) q, error_of(q) e;

-- A model that is not there
SELECT code, message, hint FROM error_of(
	$$SELECT bitnet_generate('x', model => 'no_such_model')$$);
SELECT code, message, hint FROM error_of(
	$$SELECT bitnet_generate('x', model => 'default.gguf')$$);
SELECT code, message, detail FROM error_of(
	$$SELECT bitnet_generate('x', model => repeat('é', 100000))$$);

-- Messages
SELECT e.* FROM unnest(ARRAY[
	'{}', '[]', '"text"', '[1]', '[{"role": "user", "content": "a"}, []]', '[{}]', '[{"role": "user"}]',
	'[{"role": "user", "content": 1}]', '[{"role": "user", "content": null}]',
	'[{"role": "User", "content": "a"}]', '[{"role": 1, "content": "a"}]',
	'[{"role": "user", "content": "a", "name": "b"}]']) m,
	error_of(format('SELECT bitnet_chat(%L)', m)) e;
SELECT e.code, e.message FROM error_of(
	$$SELECT bitnet_chat('[{"role": "user", "content": "a"}]', options => '{"raw": true}')$$) e;

-- The limit is a superuser's
SET bitnet.max_tokens_limit = 10;
SELECT * FROM error_of($$SELECT bitnet_generate('x', 11)$$);
SELECT bitnet_generate('x') = bitnet_generate('x', 10) AS default_is_limited;
RESET bitnet.max_tokens_limit;
CREATE ROLE regress_bitnet_user;
SET ROLE regress_bitnet_user;
SET bitnet.max_tokens_limit = 10;
SET bitnet.max_tokens = 2;
SELECT bitnet_generate('x') = bitnet_generate('x', 2) AS may_use;
RESET bitnet.max_tokens;
RESET ROLE;
DROP ROLE regress_bitnet_user;
