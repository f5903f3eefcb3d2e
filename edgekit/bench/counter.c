/* Counts how often an emulated program runs each of its blocks: a plugin of qemu-aarch64 (plugin API 1, qemu 4.2 to 8.2).

   out=FILE       what is written: a line `B <index> <address> <words...>` for a block when it is translated, and a line
                  `M <mark> <index>:<executions>[:<misses>...]...` with what ran since the line before, and how often each
                  cache did not have what the block read or wrote.
   caches=        <bytes>/<ways>+<bytes>/<ways>...: caches with lines of 64 bytes and least-recently-used replacement, the
                  nearest first; without them no memory access is looked at.
   timer=on       also a line `T <index>:...` wherever the guest reads its clock between two marks: a profiler of the guest
                  does so at the end of each operator.

   The guest calls getpgid(MARK + i) where the i-th timed inference starts. Debian's qemu ships no header: what is used is
   declared. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t Plugin;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { INLINE_ADD_U64 = 0, NO_REGISTERS = 0, READ_OR_WRITE = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(Plugin, void (*)(Plugin, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, void (*)(unsigned, uint32_t, uint64_t, void *), int flags,
                                      int kind, void *);
void qemu_plugin_register_vcpu_syscall_cb(Plugin, void (*)(Plugin, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                           uint64_t, uint64_t, uint64_t, uint64_t));

int qemu_plugin_version = 1;

enum { CLOCK_GETTIME = 113, GETPGID = 155, MARK = 0x45444700, MARK_INDEX = 0xff };
enum { LINE_BITS = 6, LEVELS = 3, SLAB = 4096, SLABS = 1024 };

/* Counters stay where they are once translated code adds to them: they are allocated in slabs. */
typedef struct {
    uint64_t runs, misses[LEVELS], runs_then, misses_then[LEVELS];
} Block;

/* Tags of one set lie side by side, the one used last in front. */
typedef struct {
    uint64_t *tags, sets;
    unsigned ways;
} Cache;

static Block *slabs[SLABS];
static unsigned used;
static Cache caches[LEVELS];
static int levels, timer, between_marks;
static FILE *out;

static Block *block_at(unsigned index) { return &slabs[index / SLAB][index % SLAB]; }

static Block *new_block(void) {
    if (used == SLAB * SLABS || (used % SLAB == 0 && !(slabs[used / SLAB] = calloc(SLAB, sizeof(Block))))) {
        fprintf(stderr, "counter: no room for %u blocks\n", used);
        abort();
    }
    return block_at(used++);
}

/* Whether the line was there; it is now. */
static int touch(Cache *cache, uint64_t line) {
    uint64_t *set = cache->tags + line % cache->sets * cache->ways, tag = line + 1, moved = tag; /* 0: nothing */
    for (unsigned i = 0; i < cache->ways; i++) {
        uint64_t next = set[i];
        set[i] = moved;
        if (next == tag) return 1;
        moved = next;
    }
    return 0;
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *block) {
    (void)cpu, (void)info;
    uint64_t line = address >> LINE_BITS;
    for (int i = 0; i < levels && !touch(&caches[i], line); i++) ((Block *)block)->misses[i]++;
}

static void on_translation(Plugin id, struct qemu_plugin_tb *translated) {
    (void)id;
    fprintf(out, "B %u %" PRIx64, used, qemu_plugin_tb_vaddr(translated));
    Block *block = new_block();
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(translated); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translated, i);
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
        fprintf(out, " %08x", word);
        if (levels) qemu_plugin_register_vcpu_mem_cb(instruction, on_access, NO_REGISTERS, READ_OR_WRITE, block);
    }
    fputc('\n', out);
    qemu_plugin_register_vcpu_tb_exec_inline(translated, INLINE_ADD_U64, &block->runs, 1);
}

static void write_counts(void) {
    for (unsigned i = 0; i < used; i++) {
        Block *b = block_at(i);
        if (b->runs == b->runs_then) continue;
        fprintf(out, " %u:%" PRIu64, i, b->runs - b->runs_then);
        for (int level = 0; level < levels; level++)
            fprintf(out, ":%" PRIu64, b->misses[level] - b->misses_then[level]);
        b->runs_then = b->runs;
        memcpy(b->misses_then, b->misses, sizeof b->misses);
    }
    fputc('\n', out);
    fflush(out);
}

static void on_syscall(Plugin id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                       uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == GETPGID && ((uint32_t)a1 & ~MARK_INDEX) == MARK) {
        fprintf(out, "M %u", (unsigned)(a1 & MARK_INDEX));
        between_marks = 1;
    } else if (number == CLOCK_GETTIME && timer && between_marks) {
        fprintf(out, "T");
    } else {
        return;
    }
    write_counts();
}

static int read_caches(const char *text) {
    for (; levels < LEVELS; text++) {
        Cache *cache = &caches[levels++];
        unsigned long size_bytes;
        int length = 0;
        if (sscanf(text, "%lu/%u%n", &size_bytes, &cache->ways, &length) != 2 || !cache->ways) return 0;
        cache->sets = (size_bytes >> LINE_BITS) / cache->ways;
        if (!cache->sets || !(cache->tags = calloc(cache->sets * cache->ways, sizeof *cache->tags))) return 0;
        text += length;
        if (*text != '+') return !*text;
    }
    return 0;
}

static int read_argument(const char *argument) {
    if (!strncmp(argument, "out=", 4)) return (out = fopen(argument + 4, "w")) != NULL;
    if (!strncmp(argument, "caches=", 7)) return read_caches(argument + 7);
    if (!strcmp(argument, "timer=on")) return timer = 1;
    return 0;
}

int qemu_plugin_install(Plugin id, const void *info, int count, char **arguments) {
    (void)info;
    for (int i = 0; i < count; i++)
        if (!read_argument(arguments[i])) return -1;
    if (!out) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
