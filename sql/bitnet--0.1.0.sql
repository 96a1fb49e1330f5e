/* sql/bitnet--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION bitnet" to load this file. \quit

-- Functions that ask a model
--
-- None is STRICT, because NULL stands for the default of an optional argument;
-- NULL content gives NULL without asking the model.  They are STABLE: a result
-- depends on nothing but the arguments and the model, which a process goes on
-- with for a statement even if its file is replaced.  The high costs make the planner evaluate them last.

CREATE FUNCTION bitnet_generate(
	prompt text,
	max_tokens int DEFAULT NULL,
	temperature float8 DEFAULT NULL,
	seed bigint DEFAULT NULL,
	stop text[] DEFAULT NULL,
	system text DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_generate'
LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION bitnet_generate(text, int, float8, bigint, text[], text, text, jsonb) IS
'answer to a prompt';

CREATE FUNCTION bitnet_generate(
	prompts text[],
	max_tokens int DEFAULT NULL,
	temperature float8 DEFAULT NULL,
	seed bigint DEFAULT NULL,
	stop text[] DEFAULT NULL,
	system text DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS text[]
AS 'MODULE_PATHNAME', 'bitnet_generate_array'
LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION bitnet_generate(text[], int, float8, bigint, text[], text, text, jsonb) IS
'answers to prompts, computed together';

CREATE FUNCTION bitnet_chat(
	messages jsonb,
	max_tokens int DEFAULT NULL,
	temperature float8 DEFAULT NULL,
	seed bigint DEFAULT NULL,
	stop text[] DEFAULT NULL,
	system text DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_chat'
LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION bitnet_chat(jsonb, int, float8, bigint, text[], text, text, jsonb) IS
'next message of a conversation';

CREATE FUNCTION bitnet_summarize(
	input text,
	max_words int DEFAULT 50,
	instruction text DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_summarize'
LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION bitnet_summarize(text, int, text, text, jsonb) IS
'summary of a text of any length';

CREATE FUNCTION bitnet_summarize_agg_transfn(internal, text) RETURNS internal
AS 'MODULE_PATHNAME', 'bitnet_summarize_agg_transfn'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION bitnet_summarize_agg_transfn(internal, text) IS
'transition function of bitnet_summarize_agg';

CREATE FUNCTION bitnet_summarize_agg_finalfn(internal) RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_summarize_agg_finalfn'
LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION bitnet_summarize_agg_finalfn(internal) IS
'final function of bitnet_summarize_agg';

CREATE AGGREGATE bitnet_summarize_agg(input text) (
	SFUNC = bitnet_summarize_agg_transfn,
	STYPE = internal,
	SSPACE = 65536,
	FINALFUNC = bitnet_summarize_agg_finalfn,
	PARALLEL = SAFE);

COMMENT ON AGGREGATE bitnet_summarize_agg(text) IS
'summary of the texts of a group, in their order';

-- Stands in plans for bitnet_summarize_agg where many groups are summarised
-- together: bitnet_summarize(bitnet_summarize_collect(x)) is the same.

CREATE FUNCTION bitnet_summarize_collect_finalfn(internal) RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_summarize_collect_finalfn'
LANGUAGE C STABLE PARALLEL SAFE COST 100;

COMMENT ON FUNCTION bitnet_summarize_collect_finalfn(internal) IS
'final function of bitnet_summarize_collect';

CREATE AGGREGATE bitnet_summarize_collect(input text) (
	SFUNC = bitnet_summarize_agg_transfn,
	STYPE = internal,
	SSPACE = 65536,
	FINALFUNC = bitnet_summarize_collect_finalfn,
	PARALLEL = SAFE);

COMMENT ON AGGREGATE bitnet_summarize_collect(text) IS
'the texts of a group in their order, parts of them summarized if they are many';

CREATE FUNCTION bitnet_classify(
	input text,
	labels text[],
	instruction text DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_classify'
LANGUAGE C STABLE PARALLEL SAFE COST 100000;

COMMENT ON FUNCTION bitnet_classify(text, text[], text, text, jsonb) IS
'the label that fits a text best';

CREATE FUNCTION bitnet_classify_scores(
	input text,
	labels text[],
	instruction text DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS TABLE(label text, probability float8)
AS 'MODULE_PATHNAME', 'bitnet_classify_scores'
LANGUAGE C STABLE PARALLEL SAFE COST 100000 ROWS 5;

COMMENT ON FUNCTION bitnet_classify_scores(text, text[], text, text, jsonb) IS
'how probable each label is for a text';

CREATE FUNCTION bitnet_embed(
	input text,
	dimensions int DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS real[]
AS 'MODULE_PATHNAME', 'bitnet_embed'
LANGUAGE C STABLE PARALLEL SAFE COST 100000;

COMMENT ON FUNCTION bitnet_embed(text, int, text, jsonb) IS
'unit vector of the meaning of a text';

CREATE FUNCTION bitnet_embed(
	inputs text[],
	dimensions int DEFAULT NULL,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS TABLE(ord int, embedding real[])
AS 'MODULE_PATHNAME', 'bitnet_embed_array'
LANGUAGE C STABLE PARALLEL SAFE COST 100000 ROWS 10;

COMMENT ON FUNCTION bitnet_embed(text[], int, text, jsonb) IS
'unit vectors of texts, computed together';

CREATE FUNCTION bitnet_similarity(
	a text,
	b text,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS float8
AS 'MODULE_PATHNAME', 'bitnet_similarity'
LANGUAGE C STABLE PARALLEL SAFE COST 100000;

COMMENT ON FUNCTION bitnet_similarity(text, text, text, jsonb) IS
'cosine of the vectors of two texts';

CREATE FUNCTION bitnet_next_tokens(
	prompt text,
	n int DEFAULT 10,
	model text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS TABLE(token_id int, token bytea, logprob float8)
AS 'MODULE_PATHNAME', 'bitnet_next_tokens'
LANGUAGE C STABLE PARALLEL SAFE COST 100000 ROWS 10;

COMMENT ON FUNCTION bitnet_next_tokens(text, int, text, jsonb) IS
'the most probable next tokens';

CREATE FUNCTION bitnet_logprob(
	continuation text,
	context text DEFAULT '',
	model text DEFAULT NULL)
RETURNS float8
AS 'MODULE_PATHNAME', 'bitnet_logprob'
LANGUAGE C STABLE PARALLEL SAFE COST 100000;

COMMENT ON FUNCTION bitnet_logprob(text, text, text) IS
'logarithm of the probability that a text goes on like this';

-- Tokens

CREATE FUNCTION bitnet_tokenize(
	input text,
	model text DEFAULT NULL)
RETURNS int[]
AS 'MODULE_PATHNAME', 'bitnet_tokenize'
LANGUAGE C STABLE PARALLEL SAFE COST 100;

COMMENT ON FUNCTION bitnet_tokenize(text, text) IS
'token ids of a text';

CREATE FUNCTION bitnet_detokenize(
	tokens int[],
	model text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_detokenize'
LANGUAGE C STABLE PARALLEL SAFE COST 100;

COMMENT ON FUNCTION bitnet_detokenize(int[], text) IS
'text of token ids';

CREATE FUNCTION bitnet_count_tokens(
	input text,
	model text DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'bitnet_count_tokens'
LANGUAGE C STABLE PARALLEL SAFE COST 100;

COMMENT ON FUNCTION bitnet_count_tokens(text, text) IS
'number of tokens of a text';

CREATE FUNCTION bitnet_truncate(
	input text,
	max_tokens int,
	model text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_truncate'
LANGUAGE C STABLE PARALLEL SAFE COST 100;

COMMENT ON FUNCTION bitnet_truncate(text, int, text) IS
'beginning of a text that has at most so many tokens';

-- Maintenance

CREATE FUNCTION bitnet_trigger() RETURNS trigger
AS 'MODULE_PATHNAME', 'bitnet_trigger'
LANGUAGE C VOLATILE COST 1000000;

COMMENT ON FUNCTION bitnet_trigger() IS
'row trigger that fills a column with what a model makes of another';

CREATE FUNCTION bitnet_check()
RETURNS TABLE(item text, status text, detail text, hint text)
AS 'MODULE_PATHNAME', 'bitnet_check'
LANGUAGE C VOLATILE COST 100000 ROWS 10;

COMMENT ON FUNCTION bitnet_check() IS
'what works, what does not, and what to do about it';

-- Models

CREATE FUNCTION bitnet_version() RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_version'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION bitnet_version() IS
'version of the library that is in use';

CREATE FUNCTION bitnet_load(model text, reload boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'bitnet_load'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;

COMMENT ON FUNCTION bitnet_load(text, boolean) IS
'load a model into shared memory; true if this call did it';

CREATE FUNCTION bitnet_unload(model text) RETURNS bigint
AS 'MODULE_PATHNAME', 'bitnet_unload'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100;

COMMENT ON FUNCTION bitnet_unload(text) IS
'take a model out of shared memory; the bytes that become free';

REVOKE ALL ON FUNCTION bitnet_load(text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION bitnet_unload(text) FROM PUBLIC;

CREATE FUNCTION bitnet_models(
	OUT name text,
	OUT state text,
	OUT file text,
	OUT file_size bigint,
	OUT bytes bigint,
	OUT storage text,
	OUT architecture text,
	OUT parameters bigint,
	OUT context_length int,
	OUT vocab_size int,
	OUT checksum text,
	OUT kernel text,
	OUT loads bigint,
	OUT loaded_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'bitnet_models'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100 ROWS 10;

COMMENT ON FUNCTION bitnet_models() IS
'models in shared memory and model files that could be loaded';

CREATE VIEW bitnet_models AS
SELECT * FROM bitnet_models();

GRANT SELECT ON bitnet_models TO PUBLIC;

COMMENT ON VIEW bitnet_models IS
'models in shared memory and model files that could be loaded';

-- What is and was computed

CREATE FUNCTION bitnet_stats(
	OUT model text,
	OUT calls bigint,
	OUT texts bigint,
	OUT prompt_tokens bigint,
	OUT cached_tokens bigint,
	OUT generated_tokens bigint,
	OUT queue_time float8,
	OUT prefill_time float8,
	OUT decode_time float8,
	OUT steps bigint,
	OUT sequences_per_step float8,
	OUT drafted_tokens bigint,
	OUT accepted_tokens bigint,
	OUT cancels bigint,
	OUT errors bigint,
	OUT stats_reset timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'bitnet_stats'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10 ROWS 10;

COMMENT ON FUNCTION bitnet_stats() IS
'what was computed with each model';

CREATE VIEW bitnet_stats AS
SELECT * FROM bitnet_stats();

GRANT SELECT ON bitnet_stats TO PUBLIC;

COMMENT ON VIEW bitnet_stats IS
'what was computed with each model';

CREATE FUNCTION bitnet_stats_reset(model text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'bitnet_stats_reset'
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10;

COMMENT ON FUNCTION bitnet_stats_reset(text) IS
'set the statistics of a model, or of all, to zero';

REVOKE ALL ON FUNCTION bitnet_stats_reset(text) FROM PUBLIC;

CREATE FUNCTION bitnet_activity(
	OUT pid int,
	OUT datid oid,
	OUT usesysid oid,
	OUT model text,
	OUT function text,
	OUT state text,
	OUT started timestamptz,
	OUT rows_total bigint,
	OUT rows_done bigint,
	OUT prompt_tokens bigint,
	OUT cached_tokens bigint,
	OUT generated_tokens bigint,
	OUT tokens_per_second float8,
	OUT estimated_remaining interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'bitnet_activity'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100 ROWS 10;

COMMENT ON FUNCTION bitnet_activity() IS
'model calls that are running';

CREATE VIEW bitnet_activity AS
SELECT a.pid, a.datid, d.datname, a.usesysid, r.rolname AS usename, a.model, a.function, a.state,
	a.started, a.rows_total, a.rows_done, a.prompt_tokens, a.cached_tokens, a.generated_tokens,
	a.tokens_per_second, a.estimated_remaining
FROM bitnet_activity() a
	LEFT JOIN pg_catalog.pg_database d ON d.oid = a.datid
	LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid;

GRANT SELECT ON bitnet_activity TO PUBLIC;

COMMENT ON VIEW bitnet_activity IS
'model calls that are running';

CREATE FUNCTION bitnet_engines(
	OUT pid int,
	OUT model text,
	OUT started timestamptz,
	OUT sessions int,
	OUT sequences int,
	OUT steps bigint,
	OUT cache_size bigint,
	OUT cache_used bigint,
	OUT cache_kept bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'bitnet_engines'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10 ROWS 10;

COMMENT ON FUNCTION bitnet_engines() IS
'workers that compute for all sessions';

CREATE VIEW bitnet_engines AS
SELECT * FROM bitnet_engines();

GRANT SELECT ON bitnet_engines TO PUBLIC;

COMMENT ON VIEW bitnet_engines IS
'workers that compute for all sessions';
