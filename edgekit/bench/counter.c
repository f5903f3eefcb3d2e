/* Counts the instructions of an emulated program by class: a plugin of qemu-aarch64 (plugin API 1, qemu 4.2 to 8.2).

   The guest calls getpgid(MARK + i) where the i-th timed inference starts; the counters at each such call are written to
   the file that the argument out= names, one JSON object a line. Debian's qemu ships no header: what is used is declared. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t Plugin;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(Plugin, void (*)(Plugin, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(Plugin, void (*)(Plugin, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                           uint64_t, uint64_t, uint64_t, uint64_t));

int qemu_plugin_version = 1;

enum { LOAD_STORE, SIMD, DOT_PRODUCT, BRANCH, OTHER, CLASSES };
enum { GETPGID = 155, MARK = 0x45444700 };

static const char *const names[CLASSES] = {"load_store", "simd", "dot_product", "branch", "other"};
static uint64_t counters[CLASSES];
static FILE *out;

/* SDOT and UDOT, vector and by element. */
static int is_dot_product(uint32_t word) {
    return (word & 0x9fe0fc00) == 0x0e809400 || (word & 0x9fc0f400) == 0x0f80e000;
}

/* The top-level encoding table of A64: bits 28 to 25 (Arm ARM, DDI 0487, section C4.1). */
static int classify(uint32_t word) {
    unsigned group = word >> 25 & 15;
    if ((group & 5) == 4) return LOAD_STORE;                             /* x1x0 */
    if ((group & 14) == 10) return BRANCH;                               /* 101x, exceptions and system included */
    if ((group & 7) == 7) return is_dot_product(word) ? DOT_PRODUCT : SIMD; /* x111, scalar floating point included */
    return OTHER;
}

static void on_translation(Plugin id, struct qemu_plugin_tb *block) {
    uint64_t counts[CLASSES] = {0};
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        counts[classify(word)]++;
    }
    for (int c = 0; c < CLASSES; c++)
        if (counts[c]) qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &counters[c], counts[c]);
}

static void on_syscall(Plugin id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                       uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != GETPGID || ((uint32_t)a1 & 0xffffff00u) != MARK) return;
    fprintf(out, "{\"mark\": %u", (unsigned)(a1 & 255));
    for (int c = 0; c < CLASSES; c++) fprintf(out, ", \"%s\": %" PRIu64, names[c], counters[c]);
    fprintf(out, "}\n");
    fflush(out);
}

int qemu_plugin_install(Plugin id, const void *info, int count, char **arguments) {
    (void)info;
    if (count != 1 || strncmp(arguments[0], "out=", 4) || !(out = fopen(arguments[0] + 4, "w"))) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
