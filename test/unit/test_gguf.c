/*-------------------------------------------------------------------------
 *
 * test_gguf.c
 *	  The GGUF reader: valid files, and everything a hostile one can do.
 *
 * test/unit/test_gguf.c
 *
 *-------------------------------------------------------------------------
 */
#include "gguf_writer.h"
#include "tap.h"

/* Opens a file; the scratch is exactly as large as the reader asks for. */
static bn_status
open_bytes(const uint8_t *data, uint64_t size, bn_error *err)
{
	gw_memory	memory;
	bn_source	source = gw_source(&memory, data, size);
	bn_gguf		g;
	bn_status	status;
	size_t		n;
	void	   *scratch;

	memset(err, 0, sizeof(*err));
	status = bn_gguf_scratch_size(&source, &n, err);
	if (status == BN_OK)
	{
		scratch = malloc(n);
		status = bn_gguf_open(&g, &source, scratch, n, NULL, err);
		free(scratch);
	}
	if (memory.outside)
		return BN_ERR_INVALID;
	return status;
}

static void
check_error(bn_status status, const bn_error *err, bn_status expected, const char *detail,
			const char *what)
{
	bool		right = status == expected && err->code == expected &&
		strstr(err->detail, detail) != NULL;

	if (!ok(right, "%s", what))
		printf("# status %d (expected %d): %s\n", status, expected, err->detail);
}

static void
expect_spec(const gw_spec *spec, bn_status expected, const char *detail, const char *what)
{
	size_t		size;
	uint8_t    *data = gw_model(spec, &size);
	bn_error	err;

	check_error(open_bytes(data, size, &err), &err, expected, detail, what);
	free(data);
}

/* A file made of the fixed header and n more bytes */
static void
expect_header(uint32_t version, uint64_t n_tensors, uint64_t n_values,
			  const void *rest, size_t n, bn_status expected, const char *detail,
			  const char *what)
{
	gw_bytes	b = {0};
	bn_error	err;
	uint8_t    *exact;

	gw_put(&b, "GGUF", 4);
	gw_put_u32(&b, version);
	gw_put_u64(&b, n_tensors);
	gw_put_u64(&b, n_values);
	gw_put(&b, rest, n);
	exact = malloc(b.length);
	memcpy(exact, b.data, b.length);
	check_error(open_bytes(exact, b.length, &err), &err, expected, detail, what);
	free(exact);
	free(b.data);
}

static void
test_fixed_header(void)
{
	bn_error	err;
	uint8_t		nothing = 0;

	check_error(open_bytes(&nothing, 0, &err), &err, BN_ERR_TRUNCATED, "0 bytes", "empty file");
	check_error(open_bytes((const uint8_t *) "GGML0000000000000000000000000000", 32, &err), &err,
				BN_ERR_FORMAT, "not a GGUF file", "wrong magic");
	check_error(open_bytes((const uint8_t *) "PK\3\4", 4, &err), &err,
				BN_ERR_FORMAT, "not a GGUF file", "wrong magic of a short file");
	expect_header(3, 0, 0, NULL, 0, BN_OK, "", "version 3, empty");
	expect_header(2, 0, 0, NULL, 0, BN_OK, "", "version 2, empty");
	expect_header(1, 0, 0, NULL, 0, BN_ERR_UNSUPPORTED, "version 1", "version 1");
	expect_header(4, 0, 0, NULL, 0, BN_ERR_UNSUPPORTED, "version 4", "version 4");
	expect_header(0, 0, 0, NULL, 0, BN_ERR_UNSUPPORTED, "version 0", "version 0");
	expect_header(0x03000000, 0, 0, NULL, 0, BN_ERR_UNSUPPORTED, "big-endian", "byte-swapped");
	expect_header(3, UINT64_MAX, 0, NULL, 0, BN_ERR_LIMIT, "tensors", "2^64 - 1 tensors");
	expect_header(3, 0, UINT64_C(1) << 60, NULL, 0, BN_ERR_LIMIT, "metadata", "2^60 records");
	expect_header(3, 65537, 0, NULL, 0, BN_ERR_LIMIT, "65537 tensors", "65537 tensors");
	expect_header(3, 65536, 65536, "", 1, BN_ERR_TRUNCATED, "do not fit", "counts that cannot fit");
}

/* One metadata record, its value's payload included */
static gw_bytes
record(const char *key, size_t key_length, uint32_t type, const void *payload, size_t n)
{
	gw_bytes	b = {0};

	gw_put_string(&b, key, key_length);
	gw_put_u32(&b, type);
	gw_put(&b, payload, n);
	return b;
}

static void
expect_record(const char *key, size_t key_length, uint32_t type, const void *payload,
			  size_t n, bn_status expected, const char *detail, const char *what)
{
	gw_bytes	b = record(key, key_length, type, payload, n);

	expect_header(3, 0, 1, b.data, b.length, expected, detail, what);
	free(b.data);
}

/* An array record of n elements with these bytes */
static void
expect_array(uint32_t item_type, uint64_t count, const void *items, size_t n,
			 bn_status expected, const char *detail, const char *what)
{
	gw_bytes	b = {0};

	gw_put_u32(&b, item_type);
	gw_put_u64(&b, count);
	gw_put(&b, items, n);
	expect_record("the.array", 9, BN_GGUF_ARRAY, b.data, b.length, expected, detail, what);
	free(b.data);
}

static void
test_metadata(void)
{
	static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 31, UINT64_C(1) << 31, 6};
	static const uint32_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
	uint8_t		zeros[256] = {0};
	char		long_key[65537];
	gw_bytes	twice = {0};
	gw_bytes	one = record("k", 1, BN_GGUF_U8, "", 1);
	char		what[80];
	int			i;

	for (i = 0; i <= 12; i++)
	{
		if (i == BN_GGUF_STRING || i == BN_GGUF_ARRAY)
			continue;
		snprintf(what, sizeof(what), "scalar of type %d", i);
		expect_record("key", 3, (uint32_t) i, zeros, sizes[i], BN_OK, "", what);
		snprintf(what, sizeof(what), "scalar of type %d, cut", i);
		expect_record("a.long.enough.key", 17, (uint32_t) i, zeros, sizes[i] - 1,
					  BN_ERR_TRUNCATED, "a.long.enough.key", what);
		snprintf(what, sizeof(what), "array of type %d", i);
		expect_array((uint32_t) i, 3, zeros, 3 * sizes[i], BN_OK, "", what);
		snprintf(what, sizeof(what), "array of type %d, cut", i);
		expect_array((uint32_t) i, 3, zeros, 3 * sizes[i] - 1, BN_ERR_TRUNCATED, "the.array", what);
	}
	expect_record("key", 3, 13, zeros, 8, BN_ERR_FORMAT, "unknown type 13", "value type 13");
	expect_record("key", 3, UINT32_MAX, zeros, 8, BN_ERR_FORMAT, "\"key\"", "value type 2^32 - 1");
	expect_record("key", 3, BN_GGUF_BOOL, "\2", 1, BN_ERR_FORMAT, "\"key\"", "boolean of 2");
	expect_array(BN_GGUF_BOOL, 3, "\0\1\377", 3, BN_ERR_FORMAT, "boolean of 255", "boolean of 255 in an array");
	expect_array(BN_GGUF_ARRAY, 0, zeros, 0, BN_ERR_UNSUPPORTED, "array of arrays", "nested array");
	expect_array(13, 0, zeros, 0, BN_ERR_FORMAT, "unknown type 13", "element type 13");
	expect_array(BN_GGUF_F64, UINT64_C(1) << 61, zeros, 8, BN_ERR_TRUNCATED, "the.array", "array whose size overflows");
	expect_array(BN_GGUF_STRING, UINT64_C(1) << 61, zeros, 8, BN_ERR_TRUNCATED, "the.array", "string array whose size overflows");
	expect_array(BN_GGUF_STRING, 2, zeros, 16, BN_OK, "", "two empty strings");

	expect_record("", 0, BN_GGUF_U8, zeros, 1, BN_ERR_FORMAT, "empty key", "empty key");
	expect_record("a\0b", 3, BN_GGUF_U8, zeros, 1, BN_ERR_FORMAT, "zero byte", "zero byte in a key");
	memset(long_key, 'k', sizeof(long_key));
	expect_record(long_key, 65535, BN_GGUF_U8, zeros, 1, BN_OK, "", "key of 65535 bytes");
	expect_record(long_key, 65536, BN_GGUF_U8, zeros, 1, BN_ERR_LIMIT, "65536 bytes", "key of 65536 bytes");

	gw_put(&twice, one.data, one.length);
	gw_put(&twice, one.data, one.length);
	expect_header(3, 0, 2, twice.data, twice.length, BN_ERR_FORMAT, "\"k\" appears twice", "duplicate key");

	for (i = 0; i < 4; i++)
	{
		gw_bytes	b = {0};

		snprintf(what, sizeof(what), "key length %llu", (unsigned long long) lengths[i]);
		gw_put_u64(&b, lengths[i]);
		gw_put(&b, "12345", 5);
		expect_header(3, 0, 1, b.data, b.length, BN_ERR_TRUNCATED, "metadata record 0", what);
		b.length = 0;
		gw_put_u64(&b, lengths[i]);
		gw_put(&b, "12345", 5);
		snprintf(what, sizeof(what), "string length %llu", (unsigned long long) lengths[i]);
		expect_record("key", 3, BN_GGUF_STRING, b.data, b.length, BN_ERR_TRUNCATED, "\"key\"", what);
		snprintf(what, sizeof(what), "length %llu in an array", (unsigned long long) lengths[i]);
		expect_array(BN_GGUF_STRING, 1, b.data, b.length, BN_ERR_TRUNCATED, "the.array", what);
		free(b.data);
	}
	free(twice.data);
	free(one.data);
}

/* 65536 keys: the look-up must not be quadratic; then one of them twice */
static void
test_many_keys(void)
{
	gw_bytes	b = {0};
	char		key[16];
	int			i;

	for (i = 0; i < 65536; i++)
	{
		snprintf(key, sizeof(key), "key%d", i);
		gw_put_string(&b, key, strlen(key));
		gw_put_u32(&b, BN_GGUF_U8);
		gw_put(&b, "", 1);
	}
	expect_header(3, 0, 65536, b.data, b.length, BN_OK, "", "65536 keys");
	memcpy(b.data + b.length - 5 - 8, "key10000", 8);
	expect_header(3, 0, 65536, b.data, b.length, BN_ERR_FORMAT, "\"key10000\" appears twice",
				  "the last of 65536 keys is a duplicate");
	free(b.data);
}

static void
test_alignment(void)
{
	static const struct
	{
		uint32_t	value;
		bn_status	status;
	}			cases[] = {
		{0, BN_ERR_FORMAT}, {1, BN_ERR_FORMAT}, {24, BN_ERR_FORMAT}, {33, BN_ERR_FORMAT},
		{UINT32_MAX, BN_ERR_FORMAT}, {0x80000000, BN_ERR_LIMIT}, {8, BN_OK}, {32, BN_OK}
	};
	gw_spec		spec = gw_small_spec();
	char		what[80];
	int			i;

	spec.override.extra_key = "general.alignment";
	spec.override.payload_bytes = 4;
	for (i = 0; i < 8; i++)
	{
		spec.override.key_type = BN_GGUF_U32;
		spec.override.payload = &cases[i].value;
		snprintf(what, sizeof(what), "alignment %u", cases[i].value);
		expect_spec(&spec, cases[i].status, cases[i].status == BN_OK ? "" : "general.alignment", what);
	}
	spec.override.key_type = BN_GGUF_I32;
	expect_spec(&spec, BN_ERR_FORMAT, "general.alignment", "alignment of type int32");
	{
		uint64_t	wide = 32;

		spec.override.key_type = BN_GGUF_U64;
		spec.override.payload = &wide;
		spec.override.payload_bytes = 8;
		expect_spec(&spec, BN_ERR_FORMAT, "general.alignment", "alignment of type uint64");
	}
}

static gw_spec
with_tensor(const char *tensor)
{
	gw_spec		spec = gw_small_spec();

	spec.override.tensor = tensor;
	return spec;
}

static void
test_tensors(void)
{
	static const char name[] = "blk.0.ffn_gate.weight";
	gw_spec		spec;
	static const uint64_t dims[][5] = {
		{0, 256}, {128, 0}, {UINT64_MAX, 1}, {UINT64_C(1) << 32, UINT64_C(1) << 32},
		{UINT64_C(1) << 63, 1}, {1, 1, UINT64_C(1) << 40, UINT64_C(1) << 40}
	};
	char		what[80];
	uint32_t	i;

	spec = gw_small_spec();
	expect_spec(&spec, BN_OK, "", "valid file");
	spec.version = 2;
	expect_spec(&spec, BN_OK, "", "valid file of version 2");
	spec = gw_small_spec();
	spec.override.swap_tensors = true;
	expect_spec(&spec, BN_OK, "", "infos in another order than the data");

	for (i = 0; i < 6; i++)
	{
		spec = with_tensor(name);
		spec.override.n_dims = i == 5 ? 4 : 2;
		memcpy(spec.override.dims, dims[i], sizeof(dims[i]));
		snprintf(what, sizeof(what), "impossible dimensions %u", i);
		expect_spec(&spec, BN_ERR_FORMAT, name, what);
	}
	spec = with_tensor(name);
	spec.override.n_dims = 5;
	memcpy(spec.override.dims, (uint64_t[5]) {128, 256, 1, 1, 1}, sizeof(spec.override.dims));
	expect_spec(&spec, BN_ERR_FORMAT, "5 dimensions", "5 dimensions");
	spec.override.n_dims = UINT32_MAX;
	expect_spec(&spec, BN_ERR_FORMAT, name, "2^32 - 1 dimensions");
	spec.override.n_dims = 2;
	spec.override.dims[0] = 100;
	spec.override.dims[1] = 1;
	expect_spec(&spec, BN_ERR_FORMAT, "blocks of 128", "I2_S of 100 values");
	spec = with_tensor("token_embd.weight");
	spec.override.type = BN_GGML_Q6_K;
	expect_spec(&spec, BN_ERR_FORMAT, "blocks of 256", "Q6_K rows of 128 values");
	spec.override.type = BN_GGML_Q8_0;
	spec.override.n_dims = 2;
	spec.override.dims[0] = 100;
	spec.override.dims[1] = 32;
	expect_spec(&spec, BN_ERR_FORMAT, "blocks of 32", "Q8_0 rows of 100 values");

	spec = with_tensor(name);
	spec.override.offset_delta = 1;
	expect_spec(&spec, BN_ERR_FORMAT, "not aligned", "offset that is not aligned");
	spec.override.offset_delta = 32;
	expect_spec(&spec, BN_ERR_FORMAT, "overlap", "overlap with the next tensor");
	spec.override.offset_delta = (uint64_t) 0 - 32;
	expect_spec(&spec, BN_ERR_FORMAT, "overlap", "overlap with the tensor before");
	spec.override.offset_delta = UINT64_C(1) << 40;
	expect_spec(&spec, BN_ERR_TRUNCATED, name, "offset beyond the file");
	spec.override.offset_delta = (uint64_t) 0 - (UINT64_C(1) << 20);
	expect_spec(&spec, BN_ERR_TRUNCATED, name, "offset near 2^64");

	spec = gw_small_spec();
	spec.override.extra_tensor = "blk.1.ffn_up.weight";
	expect_spec(&spec, BN_ERR_FORMAT, "\"blk.1.ffn_up.weight\" appears twice", "duplicate tensor");
	spec.override.extra_tensor = "";
	expect_spec(&spec, BN_ERR_FORMAT, "empty name", "empty tensor name");
	spec.override.extra_tensor = "123456789012345678901234567890123456789012345678901234567890123";
	expect_spec(&spec, BN_OK, "", "tensor name of 63 bytes");
	spec.override.extra_tensor = "1234567890123456789012345678901234567890123456789012345678901234";
	expect_spec(&spec, BN_ERR_LIMIT, "64 bytes", "tensor name of 64 bytes");
}

/* A zero byte in a tensor's name cannot come through the writer's strings. */
static void
test_zero_in_name(void)
{
	gw_spec		spec = gw_small_spec();
	size_t		size;
	size_t		i;
	uint8_t    *data;
	bn_error	err;

	spec.override.extra_tensor = "nameXwithXzero";
	data = gw_model(&spec, &size);
	for (i = 0; i + 14 < size; i++)
	{
		if (memcmp(data + i, "nameXwithXzero", 14) == 0)
			data[i + 4] = 0;
	}
	check_error(open_bytes(data, size, &err), &err, BN_ERR_FORMAT, "zero byte", "zero byte in a tensor name");
	free(data);
}

static void
test_types(void)
{
	static const struct
	{
		int64_t		type;
		const char *detail;
		const char *hint;
	}			cases[] = {
		{38, "TL1", "I2_S"}, {39, "TL2", "safetensors"}, {42, "TL2", "I2_S"},
		{135, "IQ2_BN", "I2_S"}, {134, "IQ1_BN", "I2_S"}, {335, "IQ2_BN_R4", "I2_S"},
		{12, "Q4_K", "I2_S"}, {3, "Q4_1", "I2_S"}, {34, "TQ1_0", "I2_S"}, {35, "TQ2_0", "I2_S"},
		{4, "unknown type 4", "I2_S"}, {37, "I8_S", "I2_S"}, {1000000, "unknown type 1000000", "I2_S"},
		{UINT32_MAX, "unknown type 4294967295", "I2_S"}
	};
	int			i;

	for (i = 0; i < (int) (sizeof(cases) / sizeof(cases[0])); i++)
	{
		gw_spec		spec = with_tensor("blk.1.attn_q.weight");
		size_t		size;
		uint8_t    *data;
		bn_error	err;
		bn_status	status;

		spec.override.type = cases[i].type;
		data = gw_model(&spec, &size);
		status = open_bytes(data, size, &err);
		ok(status == BN_ERR_UNSUPPORTED && strstr(err.detail, cases[i].detail) &&
		   strstr(err.detail, "blk.1.attn_q.weight") && strstr(err.hint, cases[i].hint),
		   "type %lld is refused by name and with a hint", (long long) cases[i].type);
		free(data);
	}
}

/* Two tensors of type 36 with 1024 values, "bytes" apart, of a file with that alignment */
static void
expect_type_36(uint32_t alignment, uint64_t bytes, bn_status expected, const char *detail, const char *what)
{
	gw_bytes	b = {0};
	uint8_t    *data = calloc(2, bytes);

	gw_put_string(&b, "general.alignment", 17);
	gw_put_u32(&b, BN_GGUF_U32);
	gw_put_u32(&b, alignment);
	for (int i = 0; i < 2; i++)
	{
		gw_put_string(&b, i == 0 ? "first" : "second", i == 0 ? 5 : 6);
		gw_put_u32(&b, 1);
		gw_put_u64(&b, 1024);
		gw_put_u32(&b, BN_GGML_I2_S);
		gw_put_u64(&b, (uint64_t) i * bytes);
	}
	while ((b.length + 24) % alignment != 0)
		gw_put(&b, "", 1);
	gw_put(&b, data, 2 * bytes);
	expect_header(3, 2, 1, b.data, b.length, expected, detail, what);
	free(b.data);
	free(data);
}

/* Old IQ4_NL_4_4 had the number of I2_S, but 18 bytes for 32 values. */
static void
test_foreign_36(void)
{
	expect_type_36(32, 576, BN_ERR_UNSUPPORTED, "\"first\"", "type 36 of another program");
	expect_type_36(32, 288, BN_OK, "", "type 36 with the size of I2_S");
	expect_type_36(4096, 4096, BN_OK, "", "type 36 with room for either");
}

/* Every prefix of a file is an error, and reads stay within it. */
static void
test_truncation(void)
{
	gw_spec		spec = gw_small_spec();
	size_t		size;
	uint8_t    *data = gw_model(&spec, &size);
	size_t		header;
	size_t		n;
	int			wrong = 0;
	gw_memory	memory;
	bn_source	source = gw_source(&memory, data, size);
	bn_gguf		g;
	size_t		scratch_size;
	void	   *scratch;

	bn_gguf_scratch_size(&source, &scratch_size, NULL);
	scratch = malloc(scratch_size);
	ok(bn_gguf_open(&g, &source, scratch, scratch_size, NULL, NULL) == BN_OK, "whole file");
	header = (size_t) g.data_offset;
	free(scratch);
	for (n = 0; n < size; n += n < header ? 1 : 997)
	{
		uint8_t    *part = malloc(n + (n == 0));
		bn_error	err;

		memcpy(part, data, n);
		if (open_bytes(part, n, &err) != BN_ERR_TRUNCATED || err.detail[0] == '\0')
		{
			printf("# %zu bytes: %s\n", n, err.detail);
			wrong++;
		}
		free(part);
	}
	ok(wrong == 0 && header > 4096, "cut at each of %zu header bytes and within the data", header);
	free(data);
}

static bool
stop_now(void *ctx)
{
	return --*(int *) ctx == 0;
}

static void
test_failures(void)
{
	gw_spec		spec = gw_small_spec();
	size_t		size;
	uint8_t    *data = gw_model(&spec, &size);
	gw_memory	memory;
	bn_source	source = gw_source(&memory, data, size);
	bn_gguf		g;
	bn_error	err;
	size_t		scratch_size;
	void	   *scratch;
	int			countdown = 1;
	bn_hooks	hooks = {stop_now, NULL, &countdown};
	int			n_reads;
	int			n;
	int			right = 0;

	bn_gguf_scratch_size(&source, &scratch_size, &err);
	scratch = malloc(scratch_size);
	ok(bn_gguf_open(&g, &source, scratch, scratch_size - 1, NULL, &err) == BN_ERR_NOSPACE,
	   "a byte of scratch too few");
	memory.n_reads = 0;
	bn_gguf_open(&g, &source, scratch, scratch_size, NULL, &err);
	n_reads = memory.n_reads;
	for (n = 1; n <= n_reads; n++)
	{
		memory.n_reads = 0;
		memory.fail_at = n;
		right += bn_gguf_open(&g, &source, scratch, scratch_size, NULL, &err) == BN_ERR_IO &&
			err.sys_errno == 5;
	}
	ok(n_reads >= 2 && right == n_reads, "each of %d reads fails", n_reads);
	memory.fail_at = 0;
	ok(bn_gguf_open(&g, &source, scratch, scratch_size, &hooks, &err) == BN_ERR_CANCELED,
	   "canceled");
	free(scratch);
	free(data);
}

static void
put_record(gw_bytes *b, const char *key, uint32_t type, const void *payload, size_t n)
{
	gw_bytes	r = record(key, strlen(key), type, payload, n);

	gw_put(b, r.data, r.length);
	free(r.data);
}

static void
put_array(gw_bytes *b, const char *key, uint32_t type, uint64_t count, const void *items, size_t n)
{
	gw_bytes	a = {0};

	gw_put_u32(&a, type);
	gw_put_u64(&a, count);
	gw_put(&a, items, n);
	put_record(b, key, BN_GGUF_ARRAY, a.data, a.length);
	free(a.data);
}

/* Strings of 0 .. 299 bytes, string i made of the byte i, then one of 20000 */
static void
put_strings(gw_bytes *b)
{
	gw_bytes	items = {0};
	char		text[20000];
	int			i;

	for (i = 0; i <= 300; i++)
	{
		memset(text, i, sizeof(text));
		gw_put_string(&items, text, i < 300 ? (size_t) i : sizeof(text));
	}
	put_array(b, "strings", BN_GGUF_STRING, 301, items.data, items.length);
	free(items.data);
}

/* A file with one value of each kind */
static gw_bytes
values_file(void)
{
	gw_bytes	b = {0};
	int8_t		i8 = -7;
	int16_t		i16 = -700;
	uint16_t	u16 = 60000;
	int32_t		i32 = -70000;
	uint32_t	u32 = 4000000000u;
	int64_t		i64 = INT64_MIN;
	uint64_t	u64 = UINT64_MAX;
	float		f32 = 1.5f;
	double		f64 = -1e300;
	int16_t		shorts[] = {1, -2, 3};
	float		floats[] = {0.25f, -8};

	gw_put(&b, "GGUF", 4);
	gw_put_u32(&b, 3);
	gw_put_u64(&b, 0);
	gw_put_u64(&b, 15);
	put_record(&b, "u8", BN_GGUF_U8, "\310", 1);
	put_record(&b, "i8", BN_GGUF_I8, &i8, 1);
	put_record(&b, "u16", BN_GGUF_U16, &u16, 2);
	put_record(&b, "i16", BN_GGUF_I16, &i16, 2);
	put_record(&b, "u32", BN_GGUF_U32, &u32, 4);
	put_record(&b, "i32", BN_GGUF_I32, &i32, 4);
	put_record(&b, "u64", BN_GGUF_U64, &u64, 8);
	put_record(&b, "i64", BN_GGUF_I64, &i64, 8);
	put_record(&b, "f32", BN_GGUF_F32, &f32, 4);
	put_record(&b, "f64", BN_GGUF_F64, &f64, 8);
	put_record(&b, "bool", BN_GGUF_BOOL, "\1", 1);
	put_record(&b, "string", BN_GGUF_STRING, "\5\0\0\0\0\0\0\0hello", 13);
	put_array(&b, "shorts", BN_GGUF_I16, 3, shorts, sizeof(shorts));
	put_array(&b, "floats", BN_GGUF_F32, 2, floats, sizeof(floats));
	put_strings(&b);
	return b;
}

static bool
int_is(const bn_gguf *g, const char *key, int64_t expected)
{
	int64_t		value = 99;
	bool		found = false;

	return bn_gguf_get_int(g, key, INT64_MIN, INT64_MAX, &value, &found, NULL) == BN_OK &&
		found && value == expected;
}

static bool
float_is(const bn_gguf *g, const char *key, double expected)
{
	double		value = 99;

	return bn_gguf_get_float(g, key, &value, NULL, NULL) == BN_OK && value == expected;
}

static void
test_scalars(const bn_gguf *g)
{
	int64_t		i = 0;
	double		d;
	bool		b = false;
	bool		found = true;
	char		text[16];
	bn_error	err;

	ok(int_is(g, "u8", 200) && int_is(g, "i8", -7) && int_is(g, "u16", 60000) &&
	   int_is(g, "i16", -700) && int_is(g, "u32", 4000000000) && int_is(g, "i32", -70000) &&
	   int_is(g, "i64", INT64_MIN), "integers of every width");
	check_error(bn_gguf_get_int(g, "u64", 0, INT64_MAX, &i, NULL, &err), &err, BN_ERR_FORMAT,
				"18446744073709551615", "2^64 - 1 does not fit");
	check_error(bn_gguf_get_int(g, "u8", 0, 199, &i, NULL, &err), &err, BN_ERR_FORMAT, "\"u8\"", "above its range");
	check_error(bn_gguf_get_int(g, "i8", -6, 10, &i, NULL, &err), &err, BN_ERR_FORMAT, "-7", "below its range");
	check_error(bn_gguf_get_int(g, "f32", 0, 10, &i, NULL, &err), &err, BN_ERR_FORMAT, "float32", "a float is no integer");
	check_error(bn_gguf_get_int(g, "bool", 0, 10, &i, NULL, &err), &err, BN_ERR_FORMAT, "bool", "a boolean is no integer");
	check_error(bn_gguf_get_int(g, "shorts", 0, 10, &i, NULL, &err), &err, BN_ERR_FORMAT, "array", "an array is no integer");
	check_error(bn_gguf_get_int(g, "none", 0, 10, &i, NULL, &err), &err, BN_ERR_FORMAT, "\"none\" is missing", "missing key");
	ok(bn_gguf_get_int(g, "none", 0, 10, &i, &found, &err) == BN_OK && !found, "missing key that may be");
	ok(float_is(g, "f32", 1.5) && float_is(g, "f64", -1e300) && float_is(g, "i16", -700) &&
	   float_is(g, "u64", 18446744073709551616.0), "numbers as floats");
	check_error(bn_gguf_get_float(g, "string", &d, NULL, &err), &err, BN_ERR_FORMAT, "string", "a string is no float");
	ok(bn_gguf_get_bool(g, "bool", &b, NULL, &err) == BN_OK && b, "boolean");
	check_error(bn_gguf_get_bool(g, "u8", &b, NULL, &err), &err, BN_ERR_FORMAT, "uint8", "an integer is no boolean");
	ok(bn_gguf_get_string(g, "string", text, sizeof(text), NULL, &err) == BN_OK &&
	   strcmp(text, "hello") == 0, "string");
	ok(bn_gguf_get_string(g, "string", text, 5, NULL, &err) == BN_OK &&
	   strcmp(text, "hell") == 0, "string, cut");
	check_error(bn_gguf_get_string(g, "i32", text, 5, NULL, &err), &err, BN_ERR_FORMAT, "int32", "an integer is no string");
	check_error(bn_gguf_get_string(g, "strings", text, 5, NULL, &err), &err, BN_ERR_FORMAT, "array", "an array is no string");
}

static void
test_cursors(const bn_gguf *g)
{
	bn_gguf_cursor c;
	bn_error	err;
	int64_t		i;
	uint8_t		text[20000];
	size_t		n;
	int			k;
	bool		right = true;

	ok(bn_gguf_cursor_open(&c, g, bn_gguf_find(g, "shorts"), BN_GGUF_I32, &err) == BN_OK &&
	   bn_gguf_next_int(&c, &i, &err) == BN_OK && i == 1 &&
	   bn_gguf_next_int(&c, &i, &err) == BN_OK && i == -2 &&
	   bn_gguf_next_int(&c, &i, &err) == BN_OK && i == 3, "elements of an integer array");
	check_error(bn_gguf_next_int(&c, &i, &err), &err, BN_ERR_FORMAT, "past the end", "past the end of an array");
	check_error(bn_gguf_cursor_open(&c, g, bn_gguf_find(g, "floats"), BN_GGUF_I32, &err), &err,
				BN_ERR_FORMAT, "\"floats\"", "floats are no integers");
	check_error(bn_gguf_cursor_open(&c, g, bn_gguf_find(g, "strings"), BN_GGUF_I32, &err), &err,
				BN_ERR_FORMAT, "\"strings\"", "strings are no integers");
	check_error(bn_gguf_cursor_open(&c, g, bn_gguf_find(g, "u8"), BN_GGUF_U8, &err), &err,
				BN_ERR_FORMAT, "\"u8\"", "a scalar is no array");

	bn_gguf_cursor_open(&c, g, bn_gguf_find(g, "strings"), BN_GGUF_STRING, &err);
	for (k = 0; k <= 300; k++)
	{
		size_t		expected = k < 300 ? (size_t) k : sizeof(text);

		right = right && bn_gguf_next_string(&c, text, sizeof(text), &n, &err) == BN_OK &&
			n == expected && (n == 0 || (text[0] == k % 256 && text[n - 1] == k % 256));
	}
	ok(right, "301 strings, one longer than the buffer");
	check_error(bn_gguf_next_string(&c, text, sizeof(text), &n, &err), &err, BN_ERR_FORMAT,
				"past the end", "past the last string");
	bn_gguf_cursor_open(&c, g, bn_gguf_find(g, "strings"), BN_GGUF_STRING, &err);
	ok(bn_gguf_next_string(&c, text, 0, &n, &err) == BN_OK && n == 0 &&
	   bn_gguf_next_string(&c, text, 0, &n, &err) == BN_ERR_LIMIT, "a string too long for its buffer");
}

static void
test_values(void)
{
	gw_bytes	b = values_file();
	gw_memory	memory;
	bn_source	source = gw_source(&memory, b.data, b.length);
	bn_gguf		g;
	bn_error	err;
	size_t		n = 0;
	void	   *scratch;

	bn_gguf_scratch_size(&source, &n, &err);
	scratch = malloc(n);
	if (ok(bn_gguf_open(&g, &source, scratch, n, NULL, &err) == BN_OK, "file of values"))
	{
		bn_gguf_cursor c;
		uint8_t		text[8];
		uint8_t    *length = b.data + bn_gguf_find(&g, "strings")->offset + 8;

		test_scalars(&g);
		test_cursors(&g);

		/* the file changes after it was checked */
		memset(length, 0xff, 8);
		bn_gguf_cursor_open(&c, &g, bn_gguf_find(&g, "strings"), BN_GGUF_STRING, &err);
		bn_gguf_next_string(&c, text, 8, &n, &err);
		check_error(bn_gguf_next_string(&c, text, 8, &n, &err), &err, BN_ERR_FORMAT,
					"beyond the array", "a length that grew after the check");
		b.data[bn_gguf_find(&g, "bool")->offset] = 7;
		{
			bool		value;

			check_error(bn_gguf_get_bool(&g, "bool", &value, NULL, &err), &err, BN_ERR_FORMAT,
						"boolean of 7", "a boolean that changed after the check");
		}
		ok(!memory.outside, "no read outside the file");
	}
	free(scratch);
	free(b.data);
}

int
main(void)
{
	test_fixed_header();
	test_metadata();
	test_many_keys();
	test_alignment();
	test_tensors();
	test_zero_in_name();
	test_types();
	test_foreign_36();
	test_truncation();
	test_failures();
	test_values();
	return done_testing();
}
