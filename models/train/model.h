/*-------------------------------------------------------------------------
 *
 * model.h
 *	  The model in training: parameters, batches, forward and backward pass.
 *
 * The architecture is that of BitNet b1.58 2B4T: RMSNorm before each block,
 * linear layers without bias whose weights are ternary (round to nearest of
 * w / mean|w|, one scale for each matrix) and whose inputs are int8 (one
 * scale for each token, 127 / max|x|), rotary positions on halves of a head,
 * grouped-query attention, a norm before the output projection, the square
 * of ReLU on the gate, a norm before the down projection, and the embedding
 * as head.  The backward pass is straight through both quantisers: their
 * error counts as a constant.
 *
 * models/train/model.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H

#include "matmul.h"

#include <stdbool.h>

typedef struct model_config
{
	int32_t		vocab;
	int32_t		dim;
	int32_t		layers;
	int32_t		ffn;
	int32_t		heads;
	int32_t		kv_heads;
	int32_t		head_dim;
	int32_t		context;		/* longest sequence, in tokens */
	float		theta;
	float		eps;
} model_config;

typedef enum quant_mode
{
	QUANT_TERNARY,
	QUANT_NONE,					/* full precision, for comparison */
	QUANT_FROZEN				/* recorded errors instead of the quantisers, for the gradient check */
} quant_mode;

#define MAX_SEGMENTS 3

/* Matrices that share an input lie in one; each keeps a scale of its own. */
typedef struct matrix
{
	size_t		at;				/* first parameter */
	int			out;
	int			in;
	int			segments;
	int			segment_end[MAX_SEGMENTS];
	mm_weight	packed;			/* quantised, without scale */
	real	   *scale;			/* [out] */
	bool		fixed;			/* stays as it is: it has no gradient */
} matrix;

typedef struct layer
{
	size_t		attn_norm;
	size_t		attn_sub_norm;
	size_t		ffn_norm;
	size_t		ffn_sub_norm;
	matrix		qkv;
	matrix		output;
	matrix		gate_up;
	matrix		down;
} layer;

enum
{
	LAYER_MATRICES = 4
};

typedef struct model
{
	model_config config;
	quant_mode	quant;
	bool		published;		/* round as the exported file and the engine do: F16 embedding and KV cache */
	size_t		n_params;
	real	   *param;			/* latent weights */
	real	   *frozen;			/* quantised minus latent, where quant is QUANT_FROZEN */
	size_t		embedding;
	size_t		output_norm;
	mm_weight	head;
	real	   *embedding_f16;	/* used where published is set */
	layer	   *layer;
	real	   *rope;			/* [context][head_dim / 2] of cosine, sine */
} model;

/* A record of a batch: a sequence of its own. */
typedef struct sequence
{
	int			start;
	int			len;
	real		weight;			/* of each of its targets in the loss */
	int			class;			/* contrast.c: what its embedding should be near to */
} sequence;

/* The next sequences, as many as fit, are laid end to end, without padding. */
typedef struct batch
{
	int			rows;			/* tokens, a multiple of MM_ROWS */
	int			max_rows;
	int			n_sequences;
	int32_t    *token;
	int32_t    *target;			/* token to predict after this one, or -1 */
	sequence   *sequence;
} batch;

/* What the head found for one sequence. */
typedef struct sequence_score
{
	double		loss;			/* sum of -log p(target) */
	int			targets;
	int			correct;		/* targets that were the most likely token */
} sequence_score;

/* What the backward pass needs of the forward pass through one layer. */
typedef struct activation
{
	real	   *x;				/* [rows][dim] */
	real	   *attn_rstd;		/* [rows] */
	mm_t	   *attn_in;		/* quantised input of q, k and v */
	real	   *attn_step;		/* [rows], size of one step of the quantised input */
	real	   *qkv;			/* after rope */
	real	   *lse;			/* [rows][heads], log of the sum of exponentials */
	real	   *attn;			/* [rows][heads * head_dim] */
	real	   *out_rstd;
	mm_t	   *out_in;
	real	   *out_step;
	real	   *middle;			/* [rows][dim], after attention */
	real	   *ffn_rstd;
	mm_t	   *ffn_in;
	real	   *ffn_step;
	real	   *gate_up;		/* [rows][2 * ffn] */
	real	   *down_rstd;
	mm_t	   *down_in;
	real	   *down_step;
} activation;

/* Memory of one thread. */
typedef struct workspace
{
	activation *act;
	real	   *final;			/* [rows][dim], after the last layer */
	real	   *grad;			/* [n_params], sums over calls; NULL if only forward */
	real	   *dx;				/* [rows][dim] */
	real	   *dattn;			/* [rows][heads * head_dim] */
	real	   *wide;			/* [rows][widest] */
	mm_t	   *dy;				/* [rows][widest] */
	real	   *row;			/* two rows of the widest */
	real	   *attn_scratch;
	mm_t	   *mm_scratch;
	int		   *head_rows;
	real	   *head_norm;
	mm_t	   *head_in;
	real	   *logits;
	mm_t	   *dlogits;
	real	   *frozen;			/* recorded or used quantisation errors; see model.quant */
	size_t		frozen_at;
	bool		record;
} workspace;

enum
{
	HEAD_ROWS = 256				/* rows that the head takes at a time */
};

/* model.c */
extern void model_init(model *m, const model_config *config, quant_mode quant);
extern void model_randomize(model *m, uint64_t seed);
extern matrix *model_matrix(model *m, int index);

/* Quantises and packs what changed; part of parts, so that threads can share the work. */
extern void model_prepare(model *m, int part, int parts);

/* Divides the gradients of part of the matrices by their scales, which backward.c left to do. */
extern void model_unscale(model *m, real *grad, int part, int parts);
extern void workspace_init(workspace *ws, const model *m, int max_rows, bool backward);
extern void batch_init(batch *b, int max_rows);

/* Ternary codes of one segment and its scale; what model_prepare() uses and the export writes. */
extern real quantize_segment(const real *w, real *code, size_t n);

/* forward.c */
extern void model_forward(const model *m, workspace *ws, const batch *b);

/* backward.c: from ws->dx, the gradient of ws->final, into ws->grad */
extern void model_backward(const model *m, workspace *ws, const batch *b);

/* attention.c */
extern size_t attention_scratch_size(const model_config *c);
extern void attention_forward(const model_config *c, const batch *b, const real *qkv, real *out, real *lse,
							  real *scratch);
extern void attention_backward(const model_config *c, const batch *b, const real *qkv, const real *out,
							   const real *lse, const real *dout, real *dqkv, real *scratch);

/*
 * head.c: scores of each sequence; with "gradients", also ws->dx and the
 * gradients of the head, of the loss weighted by each sequence's weight.
 */
extern void model_head(const model *m, workspace *ws, const batch *b, sequence_score *score, bool gradients);

/* The last norm of one row of ws->final. */
extern void model_final_norm(const model *m, const real *x, real *y);

/* Adds to ws->dx and ws->grad what the gradient dy of row t after the last norm gives. */
extern void model_final_norm_grad(const model *m, workspace *ws, const real *dy, int t);

/*
 * contrast.c: the score of each sequence's embedding (one target, correct if
 * the nearest other one is of its class); with "gradients", adds to ws->dx and
 * to the gradient of the last norm.  Sequences of weight 0 do not take part.
 */
extern void model_contrast(const model *m, workspace *ws, const batch *b, sequence_score *score, bool gradients);

/* Logits after row "row" of the batch, computed as the engine does. */
extern void model_logits(const model *m, workspace *ws, int row, real *logits);

#endif							/* TRAIN_MODEL_H */
