/* LiteRT (libLiteRt.so), through its C API. The library ships no headers: what is used is declared here. */
#include <stdlib.h>
#include <string.h>

#include "runner.h"

typedef void *Handle;
typedef int (*Function)();

/* LiteRtRankedTensorType: the element type is a TfLiteType. */
typedef struct {
    int element_type;
    struct {
        unsigned rank : 7;
        unsigned has_strides : 1;
        int32_t shape[MAX_RANK];
        uint32_t strides[MAX_RANK];
    } layout;
} RankedType;

/* ProfiledEventData of litert_profiler_event.h. */
typedef struct {
    const char *tag;
    int type;
    uint64_t start_us, elapsed_us;
    size_t memory[6];
    uint64_t metadata[2];
    int source;
} Event;

enum { CPU_ACCELERATOR = 1, LOCK_READ = 0, LOCK_WRITE = 1, OPERATOR = 2, DELEGATED_OPERATOR = 8, MAX_EVENTS = 65536 };

static Handle library, environment, model, compiled, profiled, profiler, input, outputs[MAX_OUTPUTS];
static Function run_compiled, reset_profiler, start_profiler, stop_profiler;

#define CALL(name, ...) check(name, ((Function)symbol(library, name))(__VA_ARGS__))

static void check(const char *name, int status) {
    if (status) fail(strstr(name, "Run") ? "run" : "model", "%s: status %d", name, status);
}

static const char *dtype_name(int type) {
    switch (type) {
    case 1: return "float32";
    case 2: return "int32";
    case 3: return "uint8";
    case 4: return "int64";
    case 6: return "bool";
    case 7: return "int16";
    case 9: return "int8";
    case 10: return "float16";
    default: fail("model", "element type %d is not known", type);
    }
}

static Tensor describe(const char *name, const RankedType *type, size_t size_bytes) {
    Tensor tensor = {name, dtype_name(type->element_type), type->layout.rank, {0}, size_bytes};
    if (type->layout.rank > MAX_RANK) fail("model", "rank %d", type->layout.rank);
    for (int i = 0; i < tensor.rank; i++) tensor.shape[i] = type->layout.shape[i];
    return tensor;
}

static void add_option(Handle options, const char *group, const char *toml) {
    Handle opaque;
    CALL("LiteRtCreateOpaqueOptions", group, strdup(toml), free, &opaque);
    CALL("LiteRtAddOpaqueOptions", options, opaque);
}

static Handle compile(const Request *request, int profiled) {
    Handle options, made;
    char threads[40];
    snprintf(threads, sizeof threads, "num_threads = %ld\n", request->threads);
    CALL("LiteRtCreateOptions", &options);
    CALL("LiteRtSetOptionsHardwareAccelerators", options, CPU_ACCELERATOR);
    add_option(options, "xnnpack", threads);
    if (profiled) add_option(options, "runtime_options_string", "enable_profiling = true\n");
    CALL("LiteRtCreateCompiledModel", environment, model, options, &made);
    return made;
}

/* A buffer for an input or output, and what it holds. */
static Handle make_buffer(Handle tensor, Handle requirements, Tensor *description) {
    RankedType type = {0};
    Handle buffer;
    const char *name;
    size_t size_bytes;
    CALL("LiteRtGetTensorName", tensor, &name);
    CALL("LiteRtGetRankedTensorType", tensor, &type);
    CALL("LiteRtCreateManagedTensorBufferFromRequirements", environment, &type, requirements, &buffer);
    CALL("LiteRtGetTensorBufferPackedSize", buffer, &size_bytes);
    *description = describe(name, &type, size_bytes);
    return buffer;
}

static void load(const Request *request) {
    Handle signature, tensor, requirements;
    library = open_library(request->library);
    snprintf(litert.version, sizeof litert.version, "%s", request->runtime_version);
    CALL("LiteRtCreateEnvironment", 0, NULL, &environment);
    CALL("LiteRtCreateModelFromFile", environment, request->model, &model);
    compiled = compile(request, 0);
    CALL("LiteRtGetModelSignature", model, (size_t)0, &signature);
    CALL("LiteRtGetSignatureInputTensorByIndex", signature, (size_t)0, &tensor);
    CALL("LiteRtGetCompiledModelInputBufferRequirements", compiled, (size_t)0, (size_t)0, &requirements);
    input = make_buffer(tensor, requirements, &litert.in);
    CALL("LiteRtGetNumSignatureOutputs", signature, &litert.outputs);
    check_output_count(litert.outputs);
    for (size_t i = 0; i < litert.outputs; i++) {
        CALL("LiteRtGetSignatureOutputTensorByIndex", signature, i, &tensor);
        CALL("LiteRtGetCompiledModelOutputBufferRequirements", compiled, (size_t)0, i, &requirements);
        outputs[i] = make_buffer(tensor, requirements, &litert.out[i]);
    }
    run_compiled = (Function)symbol(library, "LiteRtRunCompiledModel");
}

static void write_input(const void *data) {
    void *memory;
    CALL("LiteRtLockTensorBuffer", input, &memory, LOCK_WRITE);
    memcpy(memory, data, litert.in.size_bytes);
    CALL("LiteRtUnlockTensorBuffer", input);
}

static void run_on(Handle which) {
    check("LiteRtRunCompiledModel", run_compiled(which, (size_t)0, (size_t)1, &input, litert.outputs, outputs));
}

static void run(void) {
    if (!profiler) {
        run_on(compiled);
        return;
    }
    check("LiteRtResetProfiler", reset_profiler(profiler));
    check("LiteRtStartProfiler", start_profiler(profiler));
    run_on(profiled);
    check("LiteRtStopProfiler", stop_profiler(profiler));
}

/* A second compilation, which tells what each operator took: runs are its own from now on. */
static void profile(const Request *request) {
    profiled = compile(request, 1);
    reset_profiler = (Function)symbol(library, "LiteRtResetProfiler");
    start_profiler = (Function)symbol(library, "LiteRtStartProfiler");
    stop_profiler = (Function)symbol(library, "LiteRtStopProfiler");
    CALL("LiteRtCompiledModelGetProfiler", profiled, &profiler);
}

/* Of the last run; the caller frees them. */
static Event *read_events(int *count) {
    CALL("LiteRtGetNumProfilerEvents", profiler, count);
    if (*count <= 0 || *count > MAX_EVENTS) {
        *count = 0;
        return NULL;
    }
    Event *events = allocate((size_t)*count * sizeof *events);
    CALL("LiteRtGetProfilerEvents", profiler, *count, events);
    return events;
}

static void print_events(void) {
    int count;
    Event *events = read_events(&count);
    for (int i = 0; i < count; i++) {
        const char *kind = events[i].type == OPERATOR ? "operator" : events[i].type == DELEGATED_OPERATOR ? "delegated" : "other";
        printf("%s{\"name\": ", i ? ", " : "");
        print_text(stdout, events[i].tag ? events[i].tag : "");
        printf(", \"kind\": \"%s\", \"start_us\": %llu, \"elapsed_us\": %llu, \"node\": %lld}", kind,
               (unsigned long long)events[i].start_us, (unsigned long long)events[i].elapsed_us,
               (long long)events[i].metadata[0]);
    }
    free(events);
}

static void read_output(size_t index, void *data) {
    void *memory;
    CALL("LiteRtLockTensorBuffer", outputs[index], &memory, LOCK_READ);
    memcpy(data, memory, litert.out[index].size_bytes);
    CALL("LiteRtUnlockTensorBuffer", outputs[index]);
}

/* One profiled run of a second compilation. Nodes outside of XNNPACK leave an event each; a partition leaves one event per
   operator that XNNPACK made of it, so it is an unbroken row of those: TFLite alternates between inside and outside. */
static Delegation delegation(const Request *request) {
    Delegation found = {"none", 0, 0};
    int count = 0, inside = 0;
    if (!profiler) profile(request);
    run();
    Event *events = read_events(&count);
    if (!events) return (Delegation){"unknown", -1, -1};
    for (int i = 0; i < count; i++) {
        if (events[i].type == DELEGATED_OPERATOR) {
            found.partitions += !inside;
            inside = 1;
        } else if (events[i].type == OPERATOR) {
            found.undelegated++;
            inside = 0;
        }
    }
    if (found.partitions) found.delegate = "XNNPACK";
    free(events);
    return found;
}

Runtime litert = {"litert", "", {0}, {{0}}, 0, load, write_input, run, read_output, delegation, profile, print_events};
