/*-------------------------------------------------------------------------
 *
 * export.c
 *	  Writes the tensors as the published file holds them.
 *
 * The result is a part of a GGUF file: the records that describe the tensors,
 * then their data.  export.py puts the metadata before it.  In front stand
 * three uint64, the number of tensors, bytes of the records and bytes of the
 * data, and the model_config.
 *
 * A ternary matrix (I2_S) is taken as one row of values; 128 of them make 32
 * bytes, byte j holding values j, 32 + j, 64 + j and 96 + j from its highest
 * bits to its lowest, each as value + 1; after the codes comes the scale as
 * float32, and 28 bytes of zeros.
 *
 * models/train/export.c
 *
 *-------------------------------------------------------------------------
 */
#include "train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGNMENT 32

enum
{
	TYPE_F32 = 0,
	TYPE_F16 = 1,
	TYPE_I2_S = 36
};

typedef struct growing
{
	uint8_t    *bytes;
	size_t		size;
	size_t		capacity;
} growing;

typedef struct exporter
{
	growing		records;
	growing		data;
	uint64_t	tensors;
} exporter;

static void
put(growing *g, const void *bytes, size_t n)
{
	if (g->size + n > g->capacity)
	{
		g->capacity = 2 * g->capacity + n;
		g->bytes = realloc(g->bytes, g->capacity);
		if (g->bytes == NULL)
			exit(1);
	}
	memcpy(g->bytes + g->size, bytes, n);
	g->size += n;
}

static void
put_zeros(growing *g, size_t n)
{
	static const uint8_t zeros[ALIGNMENT];

	put(g, zeros, n);
}

/* The record of a tensor whose data come next; "out" is 0 for a vector. */
static void
describe(exporter *e, int number, const char *name, uint64_t in, uint64_t out, uint32_t type)
{
	char		full[64];
	uint64_t	len;
	uint32_t	dims = out ? 2 : 1;
	uint64_t	offset;

	put_zeros(&e->data, (ALIGNMENT - e->data.size % ALIGNMENT) % ALIGNMENT);
	offset = e->data.size;
	if (number >= 0)
		len = snprintf(full, sizeof(full), "blk.%d.%s.weight", number, name);
	else
		len = snprintf(full, sizeof(full), "%s.weight", name);
	put(&e->records, &len, sizeof(len));
	put(&e->records, full, len);
	put(&e->records, &dims, sizeof(dims));
	put(&e->records, &in, sizeof(in));
	if (out)
		put(&e->records, &out, sizeof(out));
	put(&e->records, &type, sizeof(type));
	put(&e->records, &offset, sizeof(offset));
	e->tensors++;
}

static void
put_vector(exporter *e, const model *m, int number, const char *name, size_t at, int n)
{
	describe(e, number, name, n, 0, TYPE_F32);
	for (int i = 0; i < n; i++)
	{
		float		value = m->param[at + i];

		put(&e->data, &value, sizeof(value));
	}
}

/* One of the matrices that share an input. */
static void
put_matrix(exporter *e, const model *m, int number, const char *name, const matrix *x, int segment)
{
	int			first = segment > 0 ? x->segment_end[segment - 1] : 0;
	int			out = x->segment_end[segment] - first;
	size_t		n = (size_t) out * x->in;
	real	   *code = mm_alloc(sizeof(real) * n);
	float		scale = quantize_segment(m->param + x->at + (size_t) first * x->in, code, n);

	describe(e, number, name, x->in, out, TYPE_I2_S);
	for (size_t i = 0; i < n; i += 128)
		for (int j = 0; j < 32; j++)
		{
			uint8_t		byte = 0;

			for (int k = 0; k < 4; k++)
				byte |= (uint8_t) ((int) code[i + 32 * k + j] + 1) << (6 - 2 * k);
			put(&e->data, &byte, 1);
		}
	put(&e->data, &scale, sizeof(scale));
	put_zeros(&e->data, 28);
	free(code);
}

static void
put_embedding(exporter *e, const model *m)
{
	size_t		n = (size_t) m->config.vocab * m->config.dim;

	describe(e, -1, "token_embd", m->config.dim, m->config.vocab, TYPE_F16);
	for (size_t i = 0; i < n; i++)
	{
		_Float16	value = (_Float16) m->param[m->embedding + i];

		put(&e->data, &value, sizeof(value));
	}
}

void
export_tensors(const model *m, const char *path)
{
	const model_config *c = &m->config;
	exporter	e = {0};
	uint64_t	head[3];
	FILE	   *f;

	put_embedding(&e, m);
	for (int l = 0; l < c->layers; l++)
	{
		const layer *y = &m->layer[l];

		put_vector(&e, m, l, "attn_norm", y->attn_norm, c->dim);
		put_matrix(&e, m, l, "ffn_down", &y->down, 0);
		put_vector(&e, m, l, "ffn_sub_norm", y->ffn_sub_norm, c->ffn);
		put_matrix(&e, m, l, "ffn_gate", &y->gate_up, 0);
		put_matrix(&e, m, l, "ffn_up", &y->gate_up, 1);
		put_vector(&e, m, l, "ffn_norm", y->ffn_norm, c->dim);
		put_vector(&e, m, l, "attn_sub_norm", y->attn_sub_norm, c->heads * c->head_dim);
		put_matrix(&e, m, l, "attn_k", &y->qkv, 1);
		put_matrix(&e, m, l, "attn_output", &y->output, 0);
		put_matrix(&e, m, l, "attn_q", &y->qkv, 0);
		put_matrix(&e, m, l, "attn_v", &y->qkv, 2);
	}
	put_vector(&e, m, -1, "output_norm", m->output_norm, c->dim);
	put_zeros(&e.data, (ALIGNMENT - e.data.size % ALIGNMENT) % ALIGNMENT);

	head[0] = e.tensors;
	head[1] = e.records.size;
	head[2] = e.data.size;
	f = fopen(path, "wb");
	if (f == NULL || fwrite(head, sizeof(head), 1, f) != 1 || fwrite(c, sizeof(*c), 1, f) != 1 ||
		fwrite(e.records.bytes, 1, e.records.size, f) != e.records.size ||
		fwrite(e.data.bytes, 1, e.data.size, f) != e.data.size || fclose(f) != 0)
	{
		fprintf(stderr, "trainer: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	free(e.records.bytes);
	free(e.data.bytes);
}
