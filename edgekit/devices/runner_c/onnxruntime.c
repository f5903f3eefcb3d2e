/* ONNX Runtime (libonnxruntime.so), through its C API: a table of functions whose order never changes, only grows. */
#include <stdlib.h>
#include <string.h>

#include "runner.h"

/* Places in OrtApi. */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    DISABLE_TELEMETRY = 6,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_THREADS = 24,
    OUTPUT_COUNT = 31,
    INPUT_TYPE_INFO = 33,
    OUTPUT_TYPE_INFO = 34,
    INPUT_NAME = 36,
    OUTPUT_NAME = 37,
    CREATE_TENSOR_WITH_DATA = 49,
    TENSOR_OF_TYPE_INFO = 55,
    ELEMENT_TYPE = 60,
    RANK = 61,
    SHAPE = 62,
    CREATE_CPU_MEMORY_INFO = 69,
    DEFAULT_ALLOCATOR = 78,
};
enum { API_VERSION = 16, LOG_ERROR = 3, ARENA_ALLOCATOR = 1, MEMORY_DEFAULT = 0 };

typedef void *Handle;
typedef void *(*Function)();
typedef struct {
    const void *(*get_api)(uint32_t version);
    const char *(*version)(void);
} Base;

static const Function *api;
static Handle session, input, outputs[MAX_OUTPUTS];
static char *input_name, *output_names[MAX_OUTPUTS];
static void *input_data, *outputs_data[MAX_OUTPUTS];

static void check(const char *kind, Handle status) {
    if (status) fail(kind, "%s", ((const char *(*)(Handle))api[GET_ERROR_MESSAGE])(status));
}
#define CALL(place, ...) check("model", api[place](__VA_ARGS__))

static const char *dtype_name(int type, size_t *size_bytes) {
    static const struct {
        int type;
        const char *name;
        size_t size_bytes;
    } known[] = {{1, "float32", 4}, {2, "uint8", 1}, {3, "int8", 1}, {5, "int16", 2}, {6, "int32", 4},
                 {7, "int64", 8},   {9, "bool", 1},  {10, "float16", 2}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == type) {
            *size_bytes = known[i].size_bytes;
            return known[i].name;
        }
    fail("model", "element type %d is not known", type);
}

/* A tensor over memory of our own, so that a run allocates nothing for its input and outputs. */
static Handle make_tensor(int type_place, size_t index, Handle memory, void **data, Tensor *tensor) {
    Handle type, info, made;
    int element;
    size_t rank, size_bytes;
    CALL(type_place, session, index, &type);
    CALL(TENSOR_OF_TYPE_INFO, type, &info);
    CALL(ELEMENT_TYPE, info, &element);
    CALL(RANK, info, &rank);
    if (rank > MAX_RANK) fail("model", "rank %zu", rank);
    CALL(SHAPE, info, tensor->shape, rank);
    tensor->rank = (int)rank;
    tensor->dtype = dtype_name(element, &size_bytes);
    for (size_t i = 0; i < rank; i++) {
        if (tensor->shape[i] <= 0) fail("model", "a dimension of an input or output is not fixed");
        size_bytes *= (size_t)tensor->shape[i];
    }
    tensor->size_bytes = size_bytes;
    *data = allocate(size_bytes);
    CALL(CREATE_TENSOR_WITH_DATA, memory, *data, size_bytes, tensor->shape, rank, element, &made);
    return made;
}

static void load(const Request *request) {
    Handle environment, options, allocator, memory;
    const Base *(*get_base)(void) = (const Base *(*)(void))symbol(open_library(request->library), "OrtGetApiBase");
    const Base *base = get_base();
    snprintf(onnxruntime.version, sizeof onnxruntime.version, "%s", base->version());
    api = base->get_api(API_VERSION);
    if (!api) fail("library", "ONNX Runtime %s is too old", base->version());
    CALL(CREATE_ENV, LOG_ERROR, "edgekit", &environment);
    CALL(DISABLE_TELEMETRY, environment);
    CALL(CREATE_SESSION_OPTIONS, &options);
    CALL(SET_INTRA_OP_THREADS, options, (int)request->threads);
    CALL(CREATE_SESSION, environment, request->model, options, &session);
    CALL(DEFAULT_ALLOCATOR, &allocator);
    CALL(INPUT_NAME, session, (size_t)0, allocator, &input_name);
    CALL(CREATE_CPU_MEMORY_INFO, ARENA_ALLOCATOR, MEMORY_DEFAULT, &memory);
    input = make_tensor(INPUT_TYPE_INFO, 0, memory, &input_data, &onnxruntime.in);
    onnxruntime.in.name = input_name;
    CALL(OUTPUT_COUNT, session, &onnxruntime.outputs);
    check_output_count(onnxruntime.outputs);
    for (size_t i = 0; i < onnxruntime.outputs; i++) {
        CALL(OUTPUT_NAME, session, i, allocator, &output_names[i]);
        outputs[i] = make_tensor(OUTPUT_TYPE_INFO, i, memory, &outputs_data[i], &onnxruntime.out[i]);
        onnxruntime.out[i].name = output_names[i];
    }
}

static void write_input(const void *data) { memcpy(input_data, data, onnxruntime.in.size_bytes); }

static void run(void) {
    const char *const inputs[] = {input_name};
    check("run", api[RUN](session, NULL, inputs, &input, (size_t)1, output_names, onnxruntime.outputs, outputs));
}

static void read_output(size_t index, void *data) {
    memcpy(data, outputs_data[index], onnxruntime.out[index].size_bytes);
}

static Delegation delegation(const Request *request) {
    (void)request;
    return (Delegation){"CPUExecutionProvider", -1, -1};
}

Runtime onnxruntime = {"onnxruntime", "", {0}, {{0}}, 0, load, write_input, run, read_output, delegation, NULL, NULL};
