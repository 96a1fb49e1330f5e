/*-------------------------------------------------------------------------
 *
 * csv.c
 *	  The figures for plot.py: one line a value.
 *
 *	series		what: batch, position, prefill (tokens/s over x), bandwidth, peak,
 *				memory_limit (of decoding), int8_limit (of prompts, which need
 *				next to no head), int8_limit_decode, time_... (share by part),
 *				memory, model, load
 *	kernel, threads		with which, where that matters
 *	x			sequences, position, tokens of a prompt, or the name of a part
 *	value, unit	the median
 *	n, min, q1, q3, max	of how many samples, and how they spread
 *
 * test/bench/csv.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

static void
put_samples(FILE *f, const char *series, const setup *s, const char *x, const samples *v,
			double factor, const char *unit)
{
	if (v->n == 0 || samples_median(v) == 0)
		return;
	fprintf(f, "%s,%s,%d,%s,%.6g,%s,%d,%.6g,%.6g,%.6g,%.6g\n", series, s->kernels->name, s->n_threads, x,
			factor * samples_median(v), unit, v->n,
			factor * samples_quantile(v, 0), factor * samples_quantile(v, 0.25),
			factor * samples_quantile(v, 0.75), factor * samples_quantile(v, 1));
}

/* Speeds over x, of the works that "next" goes through. */
static void
put_series(FILE *f, const bench *b, const setup *s, const char *series,
		   int (*next) (const work_plan *, int))
{
	int			i;

	for (i = next(&b->plan, -1); i >= 0; i = next(&b->plan, i))
	{
		const work *w = &b->plan.works[i];
		int			x = next == next_position ? w->position : w->n;
		char		text[16];

		snprintf(text, sizeof(text), "%d", x);
		put_samples(f, series, s, text, &s->figures[i].speed, 1, "tokens/s");
	}
}

/* The limits, also as the tokens per second that they allow. */
static void
put_limits(FILE *f, const bench *b, const setup *s)
{
	double		bandwidth = samples_median(&s->bandwidth);
	double		peak = samples_median(&s->peak);

	put_samples(f, "bandwidth", s, "", &s->bandwidth, 1, "bytes/s");
	put_samples(f, "peak", s, "", &s->peak, 1, "multiply-adds/s");
	put_samples(f, "memory_limit", s, "", &s->bandwidth, memory_limit(b, s, 0) / bandwidth, "tokens/s");
	if (peak <= 0)
		return;
	put_samples(f, "int8_limit", s, "", &s->peak, int8_limit(b, s, false) / peak, "tokens/s");
	put_samples(f, "int8_limit_decode", s, "", &s->peak, int8_limit(b, s, true) / peak, "tokens/s");
}

static void
put_times(FILE *f, const bench *b, const setup *s)
{
	int			i;
	int			part;

	for (i = 0; i < b->plan.n_table; i++)
	{
		char		name[32];
		char		series[64];

		name_work(&b->plan.works[i], name, sizeof(name));
		snprintf(series, sizeof(series), "time_%s", name);
		for (part = 0; part <= BN_PARTS; part++)
			put_samples(f, series, s, part_names[part], &s->figures[i].share[part], 100, "%");
	}
}

static void
put_value(FILE *f, const char *series, const char *x, double value, const char *unit)
{
	fprintf(f, "%s,,,%s,%.10g,%s,1,,,,\n", series, x, value, unit);
}

static void
put_model(FILE *f, const bench *b)
{
	const bn_config *c = b->models[0].config;
	double		memory[MEMORY_PARTS];
	int			part;

	put_value(f, "model", "layers", c->n_layers, "");
	put_value(f, "model", "width", c->d_model, "");
	put_value(f, "model", "vocabulary", c->vocab_size, "tokens");
	put_value(f, "model", "context", c->context_length, "tokens");
	put_value(f, "model", "bytes_per_token",
			  (double) b->models[0].header->weights_bytes + head_bytes(&b->models[0]), "bytes");
	put_value(f, "load", "file", (double) b->loads[0].file_bytes, "bytes");
	put_value(f, "load", "load", b->loads[0].seconds, "s");
	put_value(f, "load", "attach", b->loads[0].attach_seconds, "s");
	measure_memory(&b->models[0], b->options.threads, memory);
	for (part = 0; part < MEMORY_PARTS; part++)
		put_value(f, "memory", memory_names[part], memory[part], "bytes");
}

void
write_csv(const bench *b, FILE *f)
{
	int			i;

	fprintf(f, "series,kernel,threads,x,value,unit,n,min,q1,q3,max\n");
	put_model(f, b);
	for (i = 0; i < b->n_setups; i++)
	{
		const setup *s = &b->setups[i];

		put_limits(f, b, s);
		put_series(f, b, s, "batch", next_batch);
		put_series(f, b, s, "position", next_position);
		put_series(f, b, s, "prefill", next_prefill);
		if (b->options.profile)
			put_times(f, b, s);
	}
}
