/*-------------------------------------------------------------------------
 *
 * cpu.h
 *	  What this CPU can do and this operating system lets it do.
 *
 * kernels/cpu.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_CPU_H
#define BN_CPU_H

#include <stdbool.h>

/* AVX2, FMA and F16C, and the 256-bit registers are saved by the system. */
extern bool bn_cpu_has_avx2(void);

/*
 * AVX-512 F, DQ, BW, VL and VNNI, all of bn_cpu_has_avx2, and the 512-bit and
 * mask registers are saved by the system.
 */
extern bool bn_cpu_has_avx512vnni(void);

/* The same and VBMI. */
extern bool bn_cpu_has_avx512vbmi(void);

/* The dot product instructions of Armv8.2. */
extern bool bn_cpu_has_neon_dotprod(void);

#endif							/* BN_CPU_H */
