/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Checks the gradients against finite differences, in double precision.
 *
 * Once with the quantisers off, and once with them on: there the straight
 * through gradient is the gradient of the same model with the error of each
 * quantiser held constant, so the errors are recorded at the point and added
 * in the neighbourhood.
 *
 * models/train/check.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <math.h>
#include <stdio.h>

#include "random.h"

#define MAX_ROWS 224
#define SAMPLES 25
#define STEP 1e-5
#define TOLERANCE 1e-6

static void
make_batch(batch *b, int vocab, uint64_t *state)
{
	static const int lens[] = {1, 70, 5, 133, 14, 1};	/* longer than a block, shorter, single */

	batch_init(b, MAX_ROWS);
	for (int s = 0; s < 6; s++)
	{
		b->sequence[s] = (sequence) {b->rows, lens[s], 0.25 + random_uniform(state), s % 3};
		for (int i = 0; i < lens[s]; i++, b->rows++)
		{
			b->token[b->rows] = random_next(state) % vocab;
			b->target[b->rows] = random_uniform(state) < 0.4 ? (int) (random_next(state) % vocab) : -1;
		}
	}
	b->n_sequences = 6;
}

static double
weighted_loss(const model *m, workspace *ws, const batch *b, bool gradients)
{
	sequence_score score[6];
	double		loss = 0;

	model_forward(m, ws, b);
	model_head(m, ws, b, score, gradients);
	for (int s = 0; s < b->n_sequences; s++)
		loss += b->sequence[s].weight * score[s].loss;
	model_contrast(m, ws, b, score, gradients);
	for (int s = 0; s < b->n_sequences; s++)
		loss += b->sequence[s].weight * score[s].loss;
	return loss;
}

/* The worst relative difference over some elements of one tensor. */
static double
check_tensor(model *m, workspace *ws, const batch *b, const real *grad, size_t at, size_t n, uint64_t *state)
{
	double		largest = 1e-4;
	double		worst = 0;

	for (size_t i = at; i < at + n; i++)
		largest = fabs(grad[i]) > largest ? fabs(grad[i]) : largest;
	for (int k = 0; k < SAMPLES; k++)
	{
		size_t		i = at + random_next(state) % n;
		real		old = m->param[i];
		double		up,
					down,
					difference;

		m->param[i] = old + STEP;
		model_prepare(m, 0, 1);
		up = weighted_loss(m, ws, b, false);
		m->param[i] = old - STEP;
		model_prepare(m, 0, 1);
		down = weighted_loss(m, ws, b, false);
		m->param[i] = old;
		difference = fabs((up - down) / (2 * STEP) - grad[i]) / largest;
		worst = difference > worst ? difference : worst;
	}
	return worst;
}

static bool
report(const char *mode, const char *name, int l, double worst)
{
	bool		ok = worst < TOLERANCE;

	printf("%s %-9s layer %2d %-14s %.1e\n", ok ? "ok    " : "FAILED", mode, l, name, worst);
	return ok;
}

static bool
check_mode(const model_config *c, quant_mode quant)
{
	uint64_t	state = 20;
	const char *mode = quant == QUANT_NONE ? "plain" : "ternary";
	bool		ok = true;
	model		m;
	workspace	ws;
	batch		b;
	real	   *grad;
	double		loss;

	model_init(&m, c, quant);
	model_randomize(&m, 7);
	for (size_t i = 0; i < m.n_params; i++)		/* away from the symmetry of the first values */
		m.param[i] += 0.1 * random_normal(&state);
	workspace_init(&ws, &m, MAX_ROWS, true);
	make_batch(&b, c->vocab, &state);
	if (quant == QUANT_TERNARY)
	{
		m.frozen = mm_alloc(sizeof(real) * m.n_params);
		ws.frozen = mm_alloc(sizeof(real) * MAX_ROWS * c->layers * (2 * c->dim + c->heads * c->head_dim + c->ffn));
		ws.record = true;
	}
	model_prepare(&m, 0, 1);
	loss = weighted_loss(&m, &ws, &b, true);
	model_backward(&m, &ws, &b);
	model_unscale(&m, ws.grad, 0, 1);
	grad = mm_alloc(sizeof(real) * m.n_params);
	memcpy(grad, ws.grad, sizeof(real) * m.n_params);
	ws.record = false;
	if (quant == QUANT_TERNARY)
		m.quant = QUANT_FROZEN;
	model_prepare(&m, 0, 1);
	if (fabs(weighted_loss(&m, &ws, &b, false) - loss) > 1e-9 * loss)
	{
		printf("FAILED the loss with recorded errors differs\n");
		ok = false;
	}

	ok &= report(mode, "embedding", -1, check_tensor(&m, &ws, &b, grad, m.embedding, c->vocab * c->dim, &state));
	ok &= report(mode, "output_norm", -1, check_tensor(&m, &ws, &b, grad, m.output_norm, c->dim, &state));
	for (int l = 0; l < c->layers; l++)
	{
		layer	   *y = &m.layer[l];
		const char *names[] = {"qkv", "output", "gate_up", "down"};

		ok &= report(mode, "attn_norm", l, check_tensor(&m, &ws, &b, grad, y->attn_norm, c->dim, &state));
		ok &= report(mode, "attn_sub_norm", l,
					 check_tensor(&m, &ws, &b, grad, y->attn_sub_norm, c->heads * c->head_dim, &state));
		ok &= report(mode, "ffn_norm", l, check_tensor(&m, &ws, &b, grad, y->ffn_norm, c->dim, &state));
		ok &= report(mode, "ffn_sub_norm", l, check_tensor(&m, &ws, &b, grad, y->ffn_sub_norm, c->ffn, &state));
		for (int i = 0; i < LAYER_MATRICES; i++)
		{
			matrix	   *x = model_matrix(&m, l * LAYER_MATRICES + i);

			ok &= report(mode, names[i], l,
						 check_tensor(&m, &ws, &b, grad, x->at, (size_t) x->out * x->in, &state));
		}
	}
	return ok;
}

int
main(void)
{
	static const model_config config = {
		.vocab = 40,.dim = 24,.layers = 2,.ffn = 40,.heads = 4,.kv_heads = 2,.head_dim = 8,
		.context = 160,.theta = 10000,.eps = 1e-5f
	};
	bool		plain = check_mode(&config, QUANT_NONE);
	bool		ternary = check_mode(&config, QUANT_TERNARY);

	printf(plain && ternary ? "all gradients agree with finite differences\n" : "gradients are WRONG\n");
	return plain && ternary ? 0 : 1;
}
