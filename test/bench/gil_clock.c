/* Copyright 2026 The gpu_perception Authors
   SPDX-License-Identifier: Apache-2.0

   Measures, per thread, the CPU time that extension modules spend while they have let go of the
   GIL, and how long threads wait to get it back.

   Extension modules let go with PyEval_SaveThread and come back with PyEval_RestoreThread. Each
   loaded library reaches these through its own global offset table, so replacing the entries there
   catches the calls of all libraries, whether Python is a library itself or linked into the
   executable; LD_PRELOAD would miss the latter. Calls inside the interpreter (sleep, locks,
   select) are not caught: they wait, and waiting takes no CPU time. x86-64 and aarch64 Linux. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__aarch64__)
#define SLOT_TYPES(t) ((t) == R_AARCH64_JUMP_SLOT || (t) == R_AARCH64_GLOB_DAT)
#else
#define SLOT_TYPES(t) ((t) == R_X86_64_JUMP_SLOT || (t) == R_X86_64_GLOB_DAT)
#endif

enum { MOST_THREADS = 1024 };

struct row {
  int64_t tid, outside_cpu_ns, waiting_ns, releases;
};

static struct row rows[MOST_THREADS];
static int used;
static __thread struct row *mine;
static __thread int64_t left_ns;
static void *(*real_save)(void);
static void (*real_restore)(void *);

static int64_t now_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static struct row *row(void) {
  if (!mine) {
    int i = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
    /* The last row is for all threads beyond the table; its figures are then of several. */
    mine = &rows[i < MOST_THREADS ? i : MOST_THREADS - 1];
    mine->tid = syscall(SYS_gettid);
  }
  return mine;
}

static void *save(void) {
  void *state = real_save();
  left_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
  return state;
}

static void restore(void *state) {
  struct row *r = row();
  /* A thread that never left, as some that C++ made, has nothing to add. */
  if (left_ns) {
    r->outside_cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - left_ns;
    left_ns = 0;
  }
  int64_t began = now_ns(CLOCK_MONOTONIC);
  real_restore(state);
  r->waiting_ns += now_ns(CLOCK_MONOTONIC) - began;
  r->releases++;
}

static void replace(ElfW(Addr) base, const ElfW(Rela) *rela, size_t nbytes,
                    const ElfW(Sym) *symbols, const char *names, int *count) {
  for (size_t i = 0; i < nbytes / sizeof *rela; i++) {
    if (!SLOT_TYPES(ELF64_R_TYPE(rela[i].r_info))) continue;
    const char *name = names + symbols[ELF64_R_SYM(rela[i].r_info)].st_name;
    void *with = !strcmp(name, "PyEval_SaveThread")      ? (void *)save
                 : !strcmp(name, "PyEval_RestoreThread") ? (void *)restore
                                                         : NULL;
    if (!with) continue;
    void **slot = (void **)(base + rela[i].r_offset);
    uintptr_t page = (uintptr_t)slot & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    if (mprotect((void *)page, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE)) continue;
    *slot = with;
    ++*count;
  }
}

static int visit(struct dl_phdr_info *info, size_t size, void *count) {
  (void)size;
  const ElfW(Rela) *plt = NULL, *rela = NULL;
  const ElfW(Sym) *symbols = NULL;
  const char *names = NULL;
  size_t plt_nbytes = 0, rela_nbytes = 0;
  if (!info->dlpi_name[0]) return 0; /* the executable */
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; d->d_tag != DT_NULL; d++) {
      if (d->d_tag == DT_JMPREL) plt = (const ElfW(Rela) *)d->d_un.d_ptr;
      if (d->d_tag == DT_PLTRELSZ) plt_nbytes = d->d_un.d_val;
      if (d->d_tag == DT_RELA) rela = (const ElfW(Rela) *)d->d_un.d_ptr;
      if (d->d_tag == DT_RELASZ) rela_nbytes = d->d_un.d_val;
      if (d->d_tag == DT_SYMTAB) symbols = (const ElfW(Sym) *)d->d_un.d_ptr;
      if (d->d_tag == DT_STRTAB) names = (const char *)d->d_un.d_ptr;
    }
  }
  /* The kernel's own library is not relocated and has addresses below its base. */
  if (!symbols || !names || (uintptr_t)symbols < info->dlpi_addr) return 0;
  if (plt) replace(info->dlpi_addr, plt, plt_nbytes, symbols, names, count);
  if (rela) replace(info->dlpi_addr, rela, rela_nbytes, symbols, names, count);
  return 0;
}

/* Replaces the entries of all libraries that are loaded now; returns how many. */
int gil_clock_start(void) {
  int count = 0;
  real_save = (void *(*)(void))dlsym(RTLD_DEFAULT, "PyEval_SaveThread");
  real_restore = (void (*)(void *))dlsym(RTLD_DEFAULT, "PyEval_RestoreThread");
  if (!real_save || !real_restore) return 0;
  dl_iterate_phdr(visit, &count);
  return count;
}

/* Copies what was measured so far into four columns per row; returns the number of rows. */
int gil_clock_read(int64_t *into, int most) {
  int n = used < MOST_THREADS ? used : MOST_THREADS;
  n = n < most ? n : most;
  memcpy(into, rows, (size_t)n * sizeof rows[0]);
  return n;
}
