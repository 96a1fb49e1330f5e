/*-------------------------------------------------------------------------
 *
 * peak.h
 *	  How many int8 multiply-adds this CPU can do, with all data in registers.
 *
 * test/bench/peak.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_BENCH_PEAK_H
#define BN_BENCH_PEAK_H

/* Does int8 multiply-adds for some 20 microseconds and returns how many. */
typedef double (*peak_fn) (void);

/* With the instructions of the named kernels; NULL where there is no such loop. */
extern peak_fn find_peak(const char *kernel);

#endif							/* BN_BENCH_PEAK_H */
