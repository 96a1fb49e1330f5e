/* sql/bitnet--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION bitnet" to load this file. \quit

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
