/*-------------------------------------------------------------------------
 *
 * contrast.c
 *	  The loss of embeddings: texts of one class near, all others far.
 *
 * An embedding is what bitnet_embed makes: the mean of a text's rows after
 * the last norm, scaled to length 1.  For each text the loss is the mean, over
 * the others of its class in the batch, of -log softmax(cosine / TEMPERATURE)
 * among all others in the batch (Khosla et al., Supervised Contrastive
 * Learning, 2020, equation 2).
 *
 * models/train/contrast.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <tgmath.h>

#define TEMPERATURE ((real) 0.07)

/* z[n_sequences][dim], the unit vectors, and the lengths of the means before. */
static void
embed_sequences(const model *m, workspace *ws, const batch *b, real *z, real *length)
{
	int			d = m->config.dim;
	real	   *row = ws->row;

	for (int s = 0; s < b->n_sequences; s++)
	{
		const sequence *q = &b->sequence[s];
		real	   *mean = z + (size_t) s * d;
		real		sum = 0;

		memset(mean, 0, sizeof(real) * d);
		for (int t = q->start; t < q->start + q->len; t++)
		{
			model_final_norm(m, ws->final + (size_t) t * d, row);
			for (int i = 0; i < d; i++)
				mean[i] += row[i] / q->len;
		}
		for (int i = 0; i < d; i++)
			sum += mean[i] * mean[i];
		length[s] = sqrt(sum) + (real) 1e-12;
		for (int i = 0; i < d; i++)
			mean[i] /= length[s];
	}
}

static real
cosine(const real *a, const real *b, int d)
{
	real		sum = 0;

	for (int i = 0; i < d; i++)
		sum += a[i] * b[i];
	return sum;
}

/*
 * Loss of text i against all; with dz, adds the gradient, weighted, to that of
 * every text's vector.  p is scratch for one number of each text.
 */
static void
anchor_loss(const batch *b, int d, int i, const real *z, real *p, real *dz, sequence_score *score)
{
	const sequence *anchor = &b->sequence[i];
	real		sum = 0;
	int			same = 0;
	int			best = -1;

	for (int j = 0; j < b->n_sequences; j++)
	{
		p[j] = 0;
		if (j == i || b->sequence[j].weight == 0)
			continue;
		p[j] = cosine(z + (size_t) i * d, z + (size_t) j * d, d) / TEMPERATURE;
		same += b->sequence[j].class == anchor->class;
		if (best < 0 || p[j] > p[best])
			best = j;
	}
	if (same == 0)
		return;
	score->targets = 1;
	score->correct = b->sequence[best].class == anchor->class;
	for (int j = 0; j < b->n_sequences; j++)
		if (j != i && b->sequence[j].weight != 0)
			sum += exp(p[j] - 1 / TEMPERATURE);
	for (int j = 0; j < b->n_sequences; j++)
	{
		bool		wanted = b->sequence[j].class == anchor->class;
		real		share;
		real		slope;

		if (j == i || b->sequence[j].weight == 0)
			continue;
		share = exp(p[j] - 1 / TEMPERATURE) / sum;
		if (wanted)
			score->loss -= ((double) p[j] - 1 / TEMPERATURE - log((double) sum)) / same;
		if (dz == NULL)
			continue;
		slope = (share - (wanted ? (real) 1 / same : 0)) * anchor->weight / TEMPERATURE;
		for (int k = 0; k < d; k++)
		{
			dz[(size_t) i * d + k] += slope * z[(size_t) j * d + k];
			dz[(size_t) j * d + k] += slope * z[(size_t) i * d + k];
		}
	}
}

void
model_contrast(const model *m, workspace *ws, const batch *b, sequence_score *score, bool gradients)
{
	int			d = m->config.dim;
	size_t		n = (size_t) b->n_sequences * d;
	real	   *z = ws->wide;
	real	   *dz = gradients ? z + n : NULL;
	real	   *length = z + 2 * n;
	real	   *p = length + b->n_sequences;

	memset(score, 0, sizeof(*score) * b->n_sequences);
	embed_sequences(m, ws, b, z, length);
	if (gradients)
		memset(dz, 0, sizeof(real) * n);
	for (int i = 0; i < b->n_sequences; i++)
		if (b->sequence[i].weight != 0)
			anchor_loss(b, d, i, z, p, dz, &score[i]);
	for (int s = 0; gradients && s < b->n_sequences; s++)
	{
		const sequence *q = &b->sequence[s];
		real	   *restrict g = dz + (size_t) s * d;
		real		along = cosine(g, z + (size_t) s * d, d);

		for (int i = 0; i < d; i++)
			g[i] = (g[i] - along * z[(size_t) s * d + i]) / (length[s] * q->len);
		for (int t = q->start; t < q->start + q->len; t++)
			model_final_norm_grad(m, ws, g, t);
	}
}
