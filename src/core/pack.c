/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  Reading tensor data into an image, and checking every value of it.
 *
 * src/core/pack.c
 *
 *-------------------------------------------------------------------------
 */
#include "image_plan.h"

#include "bytes.h"
#include "../../kernels/kernels.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files and images are little-endian, and so must be the machine"
#endif

#define TARGET_CHUNK (1024 * 1024)
#define I2S_BLOCK_BYTES 32		/* 128 values */
#define I2S_TAIL_BYTES 32		/* scale and padding after the values */

/* A code of two bits set to 1, that is to zero, four times */
#define ZERO_CODES 0x55
#define ZERO_CODES_64 UINT64_C(0x5555555555555555)

/* Five codes that are 1 in a byte; see kernels.h */
#define ZERO_FIVE (40 + 64)

/*
 * The checksum: four lanes take eight bytes each of every 32, by exclusive or,
 * multiplication with an odd number and rotation.  That is fast because the
 * lanes do not wait for each other, and every step can be undone, so that one
 * changed byte always changes its lane.
 */
static const uint64_t lane_factors[4] = {
	UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xc2b2ae3d27d4eb4f),
	UINT64_C(0xd6e8feb86659fd93), UINT64_C(0xa0761d6478bd642f)
};

static inline uint64_t
rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t
absorb(uint64_t lane, uint64_t word, uint64_t factor)
{
	return rotate((lane ^ word) * factor, 29);
}

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 32) * lane_factors[0];
	x = (x ^ x >> 29) * lane_factors[1];
	return x ^ x >> 32;
}

static void
absorb_stripes(bn_checksum *c, const uint8_t *p, size_t n_stripes)
{
	uint64_t	a = c->lane[0];
	uint64_t	b = c->lane[1];
	uint64_t	d = c->lane[2];
	uint64_t	e = c->lane[3];

	for (; n_stripes > 0; n_stripes--, p += 32)
	{
		a = absorb(a, bn_load_u64(p), lane_factors[0]);
		b = absorb(b, bn_load_u64(p + 8), lane_factors[1]);
		d = absorb(d, bn_load_u64(p + 16), lane_factors[2]);
		e = absorb(e, bn_load_u64(p + 24), lane_factors[3]);
	}
	c->lane[0] = a;
	c->lane[1] = b;
	c->lane[2] = d;
	c->lane[3] = e;
}

void
bn_checksum_init(bn_checksum *c)
{
	int			i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < 4; i++)
		c->lane[i] = mix((uint64_t) i + 1);
}

void
bn_checksum_update(bn_checksum *c, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t		fill = (size_t) (c->length % 32);

	c->length += n;
	if (fill > 0)
	{
		size_t		part = n < 32 - fill ? n : 32 - fill;

		memcpy(c->pending + fill, p, part);
		if (fill + part < 32)
			return;
		absorb_stripes(c, c->pending, 1);
		p += part;
		n -= part;
	}
	absorb_stripes(c, p, n / 32);
	memcpy(c->pending, p + n / 32 * 32, n % 32);
}

uint64_t
bn_checksum_finish(bn_checksum *c)
{
	size_t		fill = (size_t) (c->length % 32);
	uint64_t	result = mix(c->length);
	int			i;

	if (fill > 0)
	{
		memset(c->pending + fill, 0, 32 - fill);
		absorb_stripes(c, c->pending, 1);
	}
	for (i = 0; i < 4; i++)
		result = mix(result ^ c->lane[i]);
	return result;
}

/* Reads the next bytes of the file's tensor data. */
static bn_status
read_part(bn_packer *p, uint64_t offset, void *buf, size_t n, bn_error *err)
{
	const bn_source *source = &p->g->source;

	if (bn_should_stop(p->hooks))
		return bn_fail(err, BN_ERR_CANCELED, offset, "canceled");
	BN_TRY(source->read(source->ctx, offset, buf, n, err));
	bn_checksum_update(&p->checksum, buf, n);
	p->done += n;
	if (p->hooks && p->hooks->progress)
		p->hooks->progress(p->hooks->ctx, p->done, p->total);
	return BN_OK;
}

/*
 * Is there a value that is not finite among n of 2 or 4 bytes?  They are
 * looked at eight bytes at a time: without its sign, a value that is not
 * finite is at least infinity, so that adding what infinity lacks to the sign
 * bit sets that.
 */
static bool
has_infinite(const uint8_t *p, size_t n, uint32_t type)
{
	uint64_t	magnitudes;
	uint64_t	lacking;
	uint64_t	bad = 0;
	size_t		value_bytes = type == BN_GGML_F32 ? 4 : 2;
	size_t		bytes = n * value_bytes;
	size_t		i;
	uint8_t		last[8] = {0};

	if (type == BN_GGML_F32)
	{
		magnitudes = UINT64_C(0x7fffffff7fffffff);
		lacking = UINT64_C(0x0080000000800000);
	}
	else
	{
		magnitudes = UINT64_C(0x7fff7fff7fff7fff);
		lacking = type == BN_GGML_F16 ?
			UINT64_C(0x0400040004000400) : UINT64_C(0x0080008000800080);
	}
	for (i = 0; i + 8 <= bytes; i += 8)
		bad |= (bn_load_u64(p + i) & magnitudes) + lacking;
	memcpy(last, p + i, bytes - i);
	bad |= (bn_load_u64(last) & magnitudes) + lacking;
	return (bad & ~magnitudes) != 0;
}

/* Element i of an array of F32, F16 or BF16 */
static float
load_float(const uint8_t *p, size_t i, uint32_t type)
{
	if (type == BN_GGML_F32)
		return bn_float_from_bits(bn_load_u32(p + 4 * i));
	if (type == BN_GGML_F16)
		return bn_float_from_half(bn_load_u16(p + 2 * i));
	return bn_float_from_bfloat(bn_load_u16(p + 2 * i));
}

/* Makes the error for an array in which has_infinite found something. */
static bn_status
report_infinite(const bn_gguf_tensor *src, uint64_t offset, const uint8_t *p, size_t n,
				bn_error *err)
{
	size_t		value_bytes = src->type == BN_GGML_F32 ? 4 : 2;
	size_t		i = 0;

	while (i + 1 < n && !has_infinite(p + i * value_bytes, 1, src->type))
		i++;
	return bn_fail(err, BN_ERR_FORMAT, offset + i * value_bytes,
				   "value %lu of the tensor \"%s\" is not finite",
				   (offset - src->offset) / value_bytes + i, src->name);
}

/* Blocks of 8-, 6- or 4-bit values: is each block's scale finite? */
static bn_status
check_blocks(const bn_gguf_tensor *src, uint64_t offset, const uint8_t *p, size_t n_blocks,
			 size_t block_bytes, size_t scale_at, bn_error *err)
{
	size_t		i;

	for (i = 0; i < n_blocks; i++)
	{
		if ((bn_load_u16(p + i * block_bytes + scale_at) & 0x7c00) == 0x7c00)
			return bn_fail(err, BN_ERR_FORMAT, offset + i * block_bytes + scale_at,
						   "the scale of block %lu of the tensor \"%s\" is not finite",
						   (offset - src->offset) / block_bytes + i, src->name);
	}
	return BN_OK;
}

/* An embedding or head: stays as it is in the file. */
static bn_status
pack_dense(bn_packer *p, const bn_gguf_tensor *src, const bn_tensor *dst, bn_error *err)
{
	uint8_t    *out = p->image + dst->offset;
	size_t		unit = 32;		/* bytes that are not to be separated */
	size_t		scale_at = 0;
	uint64_t	done;

	if (src->type == BN_GGML_Q8_0)
		unit = 34;
	else if (src->type == BN_GGML_Q4_0)
		unit = 18;
	else if (src->type == BN_GGML_Q6_K)
	{
		unit = 210;
		scale_at = 208;
	}
	for (done = 0; done < src->bytes;)
	{
		uint64_t	offset = src->offset + done;
		size_t		n = TARGET_CHUNK / unit * unit;

		if (n > src->bytes - done)
			n = (size_t) (src->bytes - done);
		BN_TRY(read_part(p, offset, out + done, n, err));
		if (unit != 32)
			BN_TRY(check_blocks(src, offset, out + done, n / unit, unit, scale_at, err));
		else
		{
			size_t		n_values = n / (src->type == BN_GGML_F32 ? 4 : 2);

			if (has_infinite(out + done, n_values, src->type))
				return report_infinite(src, offset, out + done, n_values, err);
		}
		done += n;
	}
	return BN_OK;
}

/* A norm: becomes float.  It has at most BN_MAX_DIM values. */
static bn_status
pack_norm(bn_packer *p, const bn_gguf_tensor *src, const bn_tensor *dst, bn_error *err)
{
	float	   *out = (float *) (p->image + dst->offset);
	size_t		n = (size_t) dst->cols;
	size_t		i;

	BN_TRY(read_part(p, src->offset, p->chunk, (size_t) src->bytes, err));
	if (has_infinite(p->chunk, n, src->type))
		return report_infinite(src, src->offset, p->chunk, n, err);
	for (i = 0; i < n; i++)
		out[i] = load_float(p->chunk, i, src->type);
	return BN_OK;
}

/*
 * Transposes 4 x 4 fields of two bits in each byte: field j of x[i] and field
 * i of x[j] change places (fields counted from the low end).
 */
static inline void
transpose_fields(uint64_t x[4])
{
	uint64_t	t;
	int			i;

	for (i = 0; i < 2; i++)
	{
		t = (x[i] >> 4 ^ x[i + 2]) & UINT64_C(0x0f0f0f0f0f0f0f0f);
		x[i + 2] ^= t;
		x[i] ^= t << 4;
	}
	for (i = 0; i < 4; i += 2)
	{
		t = (x[i] >> 2 ^ x[i + 1]) & UINT64_C(0x3333333333333333);
		x[i + 1] ^= t;
		x[i] ^= t << 2;
	}
}

/*
 * One row of whole I2_S blocks, as a row's four bytes of one tile after the
 * other.
 *
 * A block has 128 columns in 32 bytes: column j is in byte j % 32, and the
 * highest two bits are the first 32 columns.  A tile wants 16 columns: column
 * c in byte c % 4, and the lowest two bits are the first four columns.  So
 * bytes 4 q .. 4 q + 3 of half a block hold, in field 3 - g, what fields q of
 * the four bytes of tile 2 g (or 2 g + 1 for the upper half) need: a
 * transposition, done for both halves at once.
 *
 * Returns in *bad a bit for every code 3, and in *used one for every code but 1.
 */
static void
pack_i2s_row(uint8_t *out, const uint8_t *src, size_t n_blocks,
			 uint64_t *bad, uint64_t *used)
{
	uint64_t	all_bad = 0;
	uint64_t	all_used = 0;
	size_t		b;
	int			i;

	for (b = 0; b < n_blocks; b++, src += I2S_BLOCK_BYTES, out += I2S_BLOCK_BYTES)
	{
		uint64_t	x[4];

		for (i = 0; i < 4; i++)
		{
			x[i] = (uint64_t) bn_load_u32(src + 4 * i) |
				(uint64_t) bn_load_u32(src + 16 + 4 * i) << 32;
			all_bad |= x[i] & x[i] >> 1;
			all_used |= x[i] ^ ZERO_CODES_64;
		}
		transpose_fields(x);
		for (i = 0; i < 4; i++)
		{
			uint32_t	low = (uint32_t) x[3 - i];
			uint32_t	high = (uint32_t) (x[3 - i] >> 32);

			memcpy(out + 8 * i, &low, 4);
			memcpy(out + 8 * i + 4, &high, 4);
		}
	}
	*bad |= all_bad & ZERO_CODES_64;
	*used |= all_used;
}

/* The same of cols codes; the codes after them, up to a multiple of 16, are 1. */
static void
pack_code_row(uint8_t *out, const uint8_t *codes, size_t cols)
{
	size_t		c;

	for (c = 0; c < cols; c += BN_TILE_COLS, out += 4)
	{
		uint32_t	word = bn_load_u32(codes + c) | bn_load_u32(codes + c + 4) << 2 |
			bn_load_u32(codes + c + 8) << 4 | bn_load_u32(codes + c + 12) << 6;

		memcpy(out, &word, 4);
	}
}

void
bn_packer_init(bn_packer *p)
{
	int			i;

	bn_checksum_init(&p->checksum);
	for (i = 0; i < 1024; i++)
		p->five[i] = bn_ternary5_encode((i & 3) + 3 * (i >> 2 & 3) + 9 * (i >> 4 & 3) + 27 * (i >> 6 & 3),
									  i >> 8);
}

/*
 * Puts a row into its tiles with five weights to a byte.  Of the row's four
 * bytes of each tile, each is a sequence of codes of its own, of which five
 * bytes make the bytes of four tiles.
 */
static void
put_five_row(uint8_t *tiles, const uint8_t *row, size_t n_tiles, const uint8_t table[1024])
{
	size_t		t;
	size_t		i;
	int			lane;

	for (t = 0; t < n_tiles; t += 4, row += 20)
	{
		uint8_t		out[4][4];

		for (lane = 0; lane < 4; lane++)
		{
			uint64_t	codes = row[lane] | (uint64_t) row[4 + lane] << 8 |
				(uint64_t) row[8 + lane] << 16 | (uint64_t) row[12 + lane] << 24 |
				(uint64_t) row[16 + lane] << 32;

			for (i = 0; i < 4; i++)
				out[i][lane] = table[codes >> 10 * i & 1023];
		}
		for (i = 0; i < 4 && t + i < n_tiles; i++)
			memcpy(tiles + (t + i) * BN_TILE_BYTES, out[i], 4);
	}
}

static size_t
tiles_of_row(const bn_tensor *dst)
{
	return dst->type == BN_TENSOR_TERNARY5 ? bn_ternary5_blocks((size_t) dst->cols) :
		bn_ternary_blocks((size_t) dst->cols);
}

/* Puts p->row into the packed matrix as row number "row". */
static void
put_row(const bn_packer *p, const bn_tensor *dst, size_t row)
{
	size_t		n_tiles = tiles_of_row(dst);
	uint8_t    *tiles = p->image + dst->offset + row / BN_TILE_ROWS * n_tiles * BN_TILE_BYTES +
		4 * (row % BN_TILE_ROWS);
	size_t		t;

	if (dst->type == BN_TENSOR_TERNARY5)
		put_five_row(tiles, p->row, n_tiles, p->five);
	else
		for (t = 0; t < n_tiles; t++)
			memcpy(tiles + t * BN_TILE_BYTES, p->row + 4 * t, 4);
}

/* Rows that fill up the last group, and columns that fill up the last tiles, are zero. */
static void
clear_padding(const bn_packer *p, const bn_tensor *dst)
{
	size_t		group_bytes = tiles_of_row(dst) * BN_TILE_BYTES;
	size_t		row_bytes = bn_ternary_blocks((size_t) dst->cols) * 4;
	size_t		i;

	if (dst->rows % BN_TILE_ROWS != 0)
		memset(p->image + dst->offset + dst->bytes - group_bytes,
			   dst->type == BN_TENSOR_TERNARY5 ? ZERO_FIVE : ZERO_CODES, group_bytes);
	for (i = (size_t) dst->cols; i % BN_TILE_COLS != 0; i++)
		p->codes[i] = 1;
	memset(p->row + row_bytes, ZERO_CODES, BN_PACK_ROW - row_bytes);
}

/*
 * Code of value i of I2_S data, in which blocks run over the ends of rows:
 * byte i % 32 of block i / 128, the first 32 values in the highest bits.
 */
static inline uint8_t
i2s_code(const uint8_t *data, size_t i)
{
	return data[i / 128 * 32 + i % 32] >> (6 - 2 * (i % 128 / 32)) & 3;
}

/* Packs rows [first, first + n) of which data holds the whole blocks. */
static void
pack_i2s_rows(bn_packer *p, const bn_tensor *dst, size_t first, size_t n,
			  const uint8_t *data, uint64_t *bad, uint64_t *used)
{
	size_t		cols = (size_t) dst->cols;
	size_t		row;
	size_t		c;

	for (row = 0; row < n; row++)
	{
		if (cols % 128 == 0)
			pack_i2s_row(p->row, data + row * (cols / 4), cols / 128, bad, used);
		else
		{
			for (c = 0; c < cols; c++)
			{
				p->codes[c] = i2s_code(data, row * cols + c);
				*bad |= p->codes[c] == 3;
				*used |= p->codes[c] != 1;
			}
			pack_code_row(p->row, p->codes, cols);
		}
		put_row(p, dst, first + row);
	}
}

static bn_status
report_code(const bn_gguf_tensor *src, uint64_t offset, const uint8_t *data, size_t bytes,
			bn_error *err)
{
	size_t		i = 0;

	while (i + 1 < bytes && (data[i] & data[i] >> 1 & ZERO_CODES) == 0)
		i++;
	return bn_fail(err, BN_ERR_FORMAT, offset + i,
				   "the tensor \"%s\" contains the code 3, which I2_S does not have",
				   src->name);
}

/*
 * I2_S to tiles.  The data is read 128 rows at a time or a multiple of that,
 * because 128 rows of any length are whole blocks.
 */
static bn_status
pack_i2s(bn_packer *p, const bn_gguf_tensor *src, bn_tensor *dst, bn_error *err)
{
	size_t		rows = (size_t) dst->rows;
	size_t		cols = (size_t) dst->cols;
	size_t		step = TARGET_CHUNK / (32 * cols) * 128;
	uint64_t	offset = src->offset;
	uint64_t	bad = 0;
	uint64_t	used = 0;
	size_t		row;

	if (step == 0)
		step = 128;
	clear_padding(p, dst);
	for (row = 0; row < rows; row += step)
	{
		size_t		n = rows - row < step ? rows - row : step;
		size_t		bytes = n * cols / 4;

		BN_TRY(read_part(p, offset, p->chunk, bytes, err));
		pack_i2s_rows(p, dst, row, n, p->chunk, &bad, &used);
		if (bad != 0)
			return report_code(src, offset, p->chunk, bytes, err);
		offset += bytes;
	}

	BN_TRY(read_part(p, offset, p->chunk, I2S_TAIL_BYTES, err));
	dst->scale = load_float(p->chunk, 0, BN_GGML_F32);
	if (has_infinite(p->chunk, 1, BN_GGML_F32))
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the scale of the tensor \"%s\" is not finite", src->name);
	if (dst->scale < 0 || (dst->scale == 0 && used != 0))
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the scale of the tensor \"%s\" is not positive", src->name);
	return BN_OK;
}

/*
 * Codes of n floats that must be 0, +s or -s, where s is the first that is not
 * zero: *magnitude holds its bits without sign, 0 as long as there was none.
 * Returns how many fit.
 */
static size_t
ternary_codes(uint8_t *codes, const uint8_t *data, size_t n, uint32_t type,
			  uint32_t *magnitude)
{
	size_t		i;

	for (i = 0; i < n; i++)
	{
		uint32_t	bits = type == BN_GGML_F32 ? bn_load_u32(data + 4 * i) :
			(uint32_t) bn_load_u16(data + 2 * i) << 16;
		uint32_t	m = bits & 0x7fffffff;

		if (m == 0)
		{
			codes[i] = 1;
			continue;
		}
		if (*magnitude == 0)
			*magnitude = m;
		if (m != *magnitude)
			break;
		codes[i] = bits >> 31 ? 0 : 2;
	}
	return i;
}

/* Ternary weights that are stored as floats */
static bn_status
pack_floats(bn_packer *p, const bn_gguf_tensor *src, bn_tensor *dst, bn_error *err)
{
	size_t		rows = (size_t) dst->rows;
	size_t		cols = (size_t) dst->cols;
	size_t		value_bytes = src->type == BN_GGML_F32 ? 4 : 2;
	size_t		step = TARGET_CHUNK / (cols * value_bytes);
	uint32_t	magnitude = 0;
	uint64_t	offset = src->offset;
	size_t		row;
	size_t		i;

	if (step == 0)
		step = 1;
	clear_padding(p, dst);
	for (row = 0; row < rows; row += step)
	{
		size_t		n = rows - row < step ? rows - row : step;

		BN_TRY(read_part(p, offset, p->chunk, n * cols * value_bytes, err));
		if (has_infinite(p->chunk, n * cols, src->type))
			return report_infinite(src, offset, p->chunk, n * cols, err);
		for (i = 0; i < n; i++)
		{
			size_t		fit = ternary_codes(p->codes, p->chunk + i * cols * value_bytes,
											cols, src->type, &magnitude);

			if (fit < cols)
			{
				bn_fail(err, BN_ERR_UNSUPPORTED, offset + (i * cols + fit) * value_bytes,
						"the tensor \"%s\" is not ternary: value %lu is neither 0 nor, up to its sign, the first other one",
						src->name, (uint64_t) ((row + i) * cols + fit));
				return bn_hint(err, BN_ERR_UNSUPPORTED, "Download the I2_S file of the model.");
			}
			pack_code_row(p->row, p->codes, cols);
			put_row(p, dst, row + i);
		}
		offset += n * cols * value_bytes;
	}

	if (magnitude == 0)
		dst->scale = 1;
	else if (src->type == BN_GGML_F16)
		dst->scale = bn_float_from_half((uint16_t) (magnitude >> 16));
	else
		dst->scale = bn_float_from_bits(magnitude);
	return BN_OK;
}

static bn_status
skip_tensor(bn_packer *p, const bn_gguf_tensor *src, bn_error *err)
{
	uint64_t	done;

	for (done = 0; done < src->bytes;)
	{
		size_t		n = src->bytes - done < TARGET_CHUNK ? (size_t) (src->bytes - done) : TARGET_CHUNK;

		BN_TRY(read_part(p, src->offset + done, p->chunk, n, err));
		done += n;
	}
	return BN_OK;
}

bn_status
bn_pack_tensor(bn_packer *p, const bn_gguf_tensor *src, bn_tensor *dst, bn_error *err)
{
	if (!dst)
		return skip_tensor(p, src, err);
	if (dst->type == BN_TENSOR_TERNARY || dst->type == BN_TENSOR_TERNARY5)
		return src->type == BN_GGML_I2_S ? pack_i2s(p, src, dst, err) :
			pack_floats(p, src, dst, err);

	/* of the float tensors, a norm has one row, whatever its type in the file */
	if (dst->type == BN_TENSOR_F32 && dst->rows == 1)
		return pack_norm(p, src, dst, err);
	return pack_dense(p, src, dst, err);
}
