/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  Test Anything Protocol for the C tests: one line per check.
 *
 * test/unit/tap.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int	tap_tests;
static int	tap_failures;

/* One check; prints its name, formatted, and returns whether it holds. */
static inline bool __attribute__((format(printf, 2, 3)))
ok(bool holds, const char *fmt,...)
{
	va_list		args;

	printf("%sok %d - ", holds ? "" : "not ", ++tap_tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	if (!holds)
		tap_failures++;
	return holds;
}

/* A check that cannot be made here. */
static inline void __attribute__((format(printf, 1, 2)))
skip(const char *fmt,...)
{
	va_list		args;

	printf("ok %d # skip ", ++tap_tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

/* Last call of main: return done_testing(); */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures == 0 ? 0 : 1;
}

#endif							/* TAP_H */
