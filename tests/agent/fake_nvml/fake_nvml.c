/* A libnvidia-ml.so.1 without a GPU, driven by the text file named in FAKE_NVML_SCENARIO.
 *
 * The file is read again when its time or size changes (looked at every 5 ms at most). One statement per line, fields
 * separated by blanks, GPU is an index or "*"; a later line wins:
 *
 *   count N                      GPUs (at most 16); driver TEXT, nvml TEXT, cuda NUMBER: versions
 *   init CODE                    what nvmlInit answers
 *   set GPU KEY VALUE...         the answer of a call. KEY is a function's name, ".member" of its structure or ".N" of
 *                                its Nth output, and "(inputs)", as in nvmlDeviceGetClockInfo(1) or
 *                                nvmlDeviceGetMemoryInfo.total. A call without a value answers NOT_SUPPORTED.
 *   field GPU ID CODE TYPE VALUE one field; TYPE: double uint ulong ull sll int ushort. A field of one scope alone is a
 *                                call: set GPU nvmlDeviceGetFieldValues(ID,SCOPE) VALUE
 *   code GPU NAME CODE           a call that fails; on "*" also calls without a GPU
 *   delay MICROSECONDS           before every call; slow GPU NAME MICROSECONDS: before that one
 *   hang GPU NAME                a call that never returns; crash GPU NAME abort|segv: one that ends the process
 *   lost GPU                     every call on it answers GPU_IS_LOST
 *   xid GPU CODE                 an event, delivered once per line number
 *   operational GPU MODULE CATEGORY CODE SEVERITY ATTRIBUTES GROUP_ATTRIBUTES XID
 *                                a GPU operational event, delivered once per line number (XID "-": it carries none)
 *   process GPU PID BYTES        a compute process; graphics GPU PID BYTES: a graphics process (BYTES "-": unknown)
 *   mig GPU UUID GI CI BYTES     a MIG device
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10,
       GPU_IS_LOST = 15, VERSION_MISMATCH = 25 };
enum { MAX_GPUS = 16, MAX_ENTRIES = 1024, MAX_FIELDS = 320, MAX_PROCESSES = 64, MAX_RULES = 64, MAX_XIDS = 64,
       MAX_MIG = 8, TEXT = 128 };

typedef unsigned long long ull;
typedef struct { ull total, free, used; } memory_1;
typedef struct { unsigned version; ull total, reserved, free, used; } memory_2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { ull total, free, used; } bar1;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_3;
typedef struct { char bus_id[16]; unsigned domain, bus, device, id, subsystem, reserved[4]; } pci_2;
typedef struct { uint32_t id, scope; int64_t timestamp, latency; int kind, code; ull value; } field_value;
typedef struct { void *device; ull type, data; unsigned gi, ci; } event_data;
typedef struct { char uuid[96]; unsigned level, severity; } operational_config;
typedef struct { unsigned milliseconds, type; char uuid[96], module[16]; ull event, data, cursor, instance, at, trace;
                 unsigned gi, ci, severity, category, code, scope, originator, module_instance, chiplet, level,
                 attributes, cper, group_attributes; unsigned char group_size, group_index; } event_3;
typedef struct { unsigned index, type, source, size; unsigned short format; } context_info;
typedef struct { unsigned index, code; } legacy_xid;
typedef struct { unsigned pid; ull memory; unsigned gi, ci; } process_info;
typedef struct { unsigned pid; ull memory; } process_info_1;
typedef struct { unsigned pid; ull memory; unsigned gi, ci; ull protected_memory; } process_info_wide;
typedef struct { unsigned version, sensor; int value; } temperature;
typedef struct { unsigned max, high, partial, low, none; } histogram;
typedef struct { unsigned version; ull counters[11]; unsigned exceeded; } sram_status;
typedef struct { unsigned char cluster[16]; int status; unsigned clique; unsigned char state; } fabric_1;
typedef struct { unsigned version; unsigned char cluster[16]; int status; unsigned clique; unsigned char state;
                 unsigned health; unsigned char summary; } fabric_3;
typedef struct { unsigned sms, copy, decoder, encoder, jpeg, ofa, gi_slices, ci_slices; ull memory; } attributes;
typedef struct { unsigned version; ull value; } pdi;
typedef struct { unsigned present, size, second; unsigned char nonce[32], report[8192], other[4096]; } chip_report;
typedef struct { unsigned chain_size, size; unsigned char chain[4096], attestation[5120]; } certificate;
typedef struct { ull reference, violation; } violation;
typedef struct { unsigned environment, feature, tools; } compute_state;
typedef struct { unsigned version, supported; } gpm_support;
typedef struct { unsigned id; int code; double value; char *names[3]; } gpm_metric;
typedef struct { unsigned version, count; void *one, *two; gpm_metric metrics[1]; } gpm_get;

typedef struct { ull key; ull number; char text[TEXT]; } entry;
typedef struct { int set, code, kind; ull value; } fake_field;
typedef struct gpu {
    int index, lost, processes, graphics, migs;
    struct gpu *parent;
    unsigned gi, ci;
    entry entries[MAX_ENTRIES];
    fake_field fields[MAX_FIELDS];
    process_info process[MAX_PROCESSES], graphic[MAX_PROCESSES];
} gpu;
typedef struct { int gpu, action, code; ull key; } rule;
enum { RETURN_CODE, SLOW, HANG, ABORT, SEGV };

static gpu gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIG];
static rule rules[MAX_RULES];
static struct { int line, gpu; ull code; } xids[MAX_XIDS];
static int gpu_count, rule_count, xid_count, last_xid_line, init_code, cuda;
static long delay;
static char driver[80], nvml[80];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec read_at, changed;
static off_t size;

static ull hash(const char *text) {
    ull value = 1469598103934665603ULL;
    for (; *text; text++) value = (value ^ (unsigned char)*text) * 1099511628211ULL;
    return value;
}
static ull with(ull key, unsigned input) { return (key ^ (input + 0x9e37U)) * 1099511628211ULL; }

static ull parse_key(char *text) {
    char *inputs = strchr(text, '(');
    if (!inputs) return hash(text);
    *inputs++ = 0;
    ull key = hash(text);
    for (char *part = strtok(inputs, ",)"); part; part = strtok(NULL, ",)")) key = with(key, strtoul(part, NULL, 0));
    return key;
}

static entry *find(gpu *device, ull key, int make) {
    for (unsigned probe = 0, at = key % MAX_ENTRIES; probe < MAX_ENTRIES; probe++, at = (at + 1) % MAX_ENTRIES) {
        entry *slot = &device->entries[at];
        if (slot->key == key) return slot;
        if (!slot->key) {
            if (!make) return NULL;
            slot->key = key;
            return slot;
        }
    }
    return NULL;
}

static void put(gpu *device, ull key, const char *text) {
    entry *slot = find(device, key, 1);
    if (!slot) abort();
    snprintf(slot->text, TEXT, "%s", text);
    slot->number = *text == '-' ? (ull)strtoll(text, NULL, 0) : strtoull(text, NULL, 0);
}

static int kind_of(const char *name) {
    const char *names[] = {"double", "uint", "ulong", "ull", "sll", "int", "ushort"};
    for (int kind = 0; kind < 7; kind++) if (!strcmp(name, names[kind])) return kind;
    return 1;
}

static void read_field(gpu *device, char *rest) {
    unsigned id; int code; char name[16], value[64];
    if (sscanf(rest, "%u %d %15s %63s", &id, &code, name, value) != 4 || id >= MAX_FIELDS) abort();
    fake_field *field = &device->fields[id];
    field->set = 1, field->code = code, field->kind = kind_of(name);
    if (field->kind == 0) { double real = strtod(value, NULL); memcpy(&field->value, &real, 8); }
    else field->value = *value == '-' ? (ull)strtoll(value, NULL, 0) : strtoull(value, NULL, 0);
    if (field->kind == 1 || field->kind == 5) field->value |= 0xABCDULL << 48; /* what the union does not cover */
}

static void add_process(process_info *list, int *count, char *rest) {
    unsigned pid; char bytes[32];
    if (sscanf(rest, "%u %31s", &pid, bytes) != 2 || *count >= MAX_PROCESSES) abort();
    list[(*count)++] = (process_info){pid, *bytes == '-' ? ~0ULL : strtoull(bytes, NULL, 0), ~0U, ~0U};
}

static void add_mig(gpu *device, char *rest) {
    char uuid[80], bytes[32]; unsigned gi, ci;
    if (sscanf(rest, "%79s %u %u %31s", uuid, &gi, &ci, bytes) != 4 || device->migs >= MAX_MIG) abort();
    gpu *slice = &migs[device->index][device->migs++];
    memset(slice, 0, sizeof *slice);
    slice->index = device->index, slice->parent = device, slice->gi = gi, slice->ci = ci;
    char number[16];
    put(slice, hash("nvmlDeviceGetUUID"), uuid);
    put(slice, hash("nvmlDeviceGetMemoryInfo.total"), bytes);
    put(slice, hash("nvmlDeviceGetMemoryInfo.used"), "0");
    snprintf(number, 16, "%u", gi), put(slice, hash("nvmlDeviceGetGpuInstanceId"), number);
    snprintf(number, 16, "%u", ci), put(slice, hash("nvmlDeviceGetComputeInstanceId"), number);
}

static void add_rule(int which, int action, char *name, int code) {
    if (rule_count >= MAX_RULES) abort();
    rules[rule_count++] = (rule){which, action, code, hash(name)};
}

/* GPU operational events: what the scenario has, and how far they were delivered. */
enum { MAX_OPERATIONAL = 64 };
typedef struct { int line, gpu, xid; event_3 told; } operational;
static operational operationals[MAX_OPERATIONAL];
static int operational_count, last_operational_line;

static void add_operational(int which, char *rest, int line) {
    if (operational_count >= MAX_OPERATIONAL) abort();
    operational *one = &operationals[operational_count++];
    char xid[16], module[17];
    memset(one, 0, sizeof *one);
    if (sscanf(rest, "%16s %u %u %u %u %u %15s", module, &one->told.category, &one->told.code, &one->told.severity,
               &one->told.attributes, &one->told.group_attributes, xid) != 7) abort();
    memcpy(one->told.module, module, strnlen(module, 16));
    one->line = line, one->gpu = which, one->xid = *xid == '-' ? -1 : atoi(xid);
    one->told.type = 1, one->told.gi = one->told.ci = ~0U, one->told.level = 50, one->told.group_size = 1;
    one->told.trace = 0xfeedULL << 48 | line;
}

static void on_gpu(const char *verb, int which, char *rest, int line) {
    gpu *device = &gpus[which];
    char name[TEXT], word[TEXT]; int code = 0;
    if (!strcmp(verb, "set")) {
        char *value = rest + strcspn(rest, " ");
        if (*value) *value++ = 0;
        put(device, parse_key(rest), value);
    } else if (!strcmp(verb, "field")) read_field(device, rest);
    else if (!strcmp(verb, "lost")) device->lost = 1;
    else if (!strcmp(verb, "process")) add_process(device->process, &device->processes, rest);
    else if (!strcmp(verb, "graphics")) add_process(device->graphic, &device->graphics, rest);
    else if (!strcmp(verb, "mig")) add_mig(device, rest);
    else if (!strcmp(verb, "operational")) add_operational(which, rest, line);
    else if (!strcmp(verb, "xid")) {
        if (xid_count < MAX_XIDS) xids[xid_count].line = line, xids[xid_count].gpu = which,
            xids[xid_count++].code = strtoull(rest, NULL, 0);
    } else if (!strcmp(verb, "code") && sscanf(rest, "%127s %d", name, &code) == 2) add_rule(which, RETURN_CODE, name, code);
    else if (!strcmp(verb, "slow") && sscanf(rest, "%127s %d", name, &code) == 2) add_rule(which, SLOW, name, code);
    else if (!strcmp(verb, "hang") && sscanf(rest, "%127s", name) == 1) add_rule(which, HANG, name, 0);
    else if (!strcmp(verb, "crash") && sscanf(rest, "%127s %127s", name, word) == 2)
        add_rule(which, *word == 'a' ? ABORT : SEGV, name, 0);
    else { fprintf(stderr, "fake_nvml: line %d is not understood\n", line); abort(); }
}

static void statement(char *text, int line) {
    char verb[32], target[80]; int used = 0;
    if (sscanf(text, "%31s %79s %n", verb, target, &used) < 1 || *verb == '#') return;
    char *value = text + strspn(text, " ");
    value += strcspn(value, " "), value += strspn(value, " ");
    if (!strcmp(verb, "count")) gpu_count = atoi(value);
    else if (!strcmp(verb, "driver")) snprintf(driver, sizeof driver, "%s", value);
    else if (!strcmp(verb, "nvml")) snprintf(nvml, sizeof nvml, "%s", value);
    else if (!strcmp(verb, "cuda")) cuda = atoi(value);
    else if (!strcmp(verb, "init")) init_code = atoi(value);
    else if (!strcmp(verb, "delay")) delay = atol(value);
    else for (int which = 0; which < MAX_GPUS; which++)
        if (*target == '*' || atoi(target) == which) {
            char rest[512];
            snprintf(rest, sizeof rest, "%s", text + used);
            on_gpu(verb, which, rest, line);
            if (*target == '*' && (!strcmp(verb, "code") || !strcmp(verb, "slow") || !strcmp(verb, "hang") || !strcmp(verb, "crash"))) {
                rules[rule_count - 1].gpu = -1;
                break;
            }
        }
}

static void read_scenario(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return;
    memset(gpus, 0, sizeof gpus);
    gpu_count = rule_count = xid_count = init_code = delay = operational_count = 0;
    cuda = 12040, strcpy(driver, "550.54.15"), strcpy(nvml, "12.550.54.15");
    for (int which = 0; which < MAX_GPUS; which++) gpus[which].index = which;
    char line[512];
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "\n")] = 0;
        statement(line, number);
    }
    fclose(file);
}

static void refresh(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long since = (now.tv_sec - read_at.tv_sec) * 1000000000L + now.tv_nsec - read_at.tv_nsec;
    if (read_at.tv_sec && since < 5000000L) return;
    pthread_mutex_lock(&lock);
    read_at = now;
    const char *path = getenv("FAKE_NVML_SCENARIO");
    struct stat state;
    if (path && !stat(path, &state) && (state.st_mtim.tv_sec != changed.tv_sec ||
        state.st_mtim.tv_nsec != changed.tv_nsec || state.st_size != size)) {
        changed = state.st_mtim, size = state.st_size;
        read_scenario(path);
    }
    pthread_mutex_unlock(&lock);
}

static void wait_microseconds(long microseconds) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000L + (now.tv_nsec - start.tv_nsec) / 1000 < microseconds);
}

static int obey(int which, const char *name) {
    ull key = hash(name);
    for (int index = rule_count - 1; index >= 0; index--) {
        rule *one = &rules[index];
        if (one->key != key || (one->gpu != -1 && one->gpu != which)) continue;
        switch (one->action) {
            case SLOW: wait_microseconds(one->code); return SUCCESS;
            case HANG: for (;;) pause();
            case ABORT: abort();
            case SEGV: raise(SIGSEGV);
        }
        return one->code;
    }
    return SUCCESS;
}

/* Every call passes here: the file, the delay, the rules, the loss. */
static int enter(gpu *device, const char *name) {
    refresh();
    if (delay) wait_microseconds(delay);
    int code = rule_count ? obey(device ? device->index : -1, name) : SUCCESS;
    if (code) return code;
    return device && device->lost ? GPU_IS_LOST : SUCCESS;
}

static int number(gpu *device, ull key, void *out, int bytes) {
    entry *slot = find(device, key, 0);
    if (!slot) return NOT_SUPPORTED;
    memcpy(out, &slot->number, bytes);
    return SUCCESS;
}
static int member(gpu *device, const char *name, void *out, int bytes) {
    int code = number(device, hash(name), out, bytes);
    if (code) memset(out, 0, bytes);
    return code;
}
static int text(gpu *device, ull key, char *out, unsigned length) {
    entry *slot = find(device, key, 0);
    if (!slot) return NOT_SUPPORTED;
    if (strlen(slot->text) >= length) return INSUFFICIENT_SIZE;
    strcpy(out, slot->text);
    for (char *at = out; *at; at++) if (*at == '\\' && at[1] == 'x') {
        *at = (char)strtoul((char[]){at[2], at[3], 0}, NULL, 16);
        memmove(at + 1, at + 4, strlen(at + 4) + 1);
    }
    return SUCCESS;
}

#define ENTER(name) int entered = enter(device, #name); if (entered) return entered
#define UINT(name) int name(gpu *device, unsigned *out) { ENTER(name); return number(device, hash(#name), out, 4); }
#define UINT_ELSE(name, otherwise) int name(gpu *device, unsigned *out) { ENTER(name); \
    return number(device, hash(#name), out, 4) ? otherwise : SUCCESS; }
#define UINT_OF(name) int name(gpu *device, unsigned a, unsigned *out) { ENTER(name); \
    return number(device, with(hash(#name), a), out, 4); }
#define WIDE(name) int name(gpu *device, ull *out) { ENTER(name); return number(device, hash(#name), out, 8); }
#define STRING(name) int name(gpu *device, char *out, unsigned length) { ENTER(name); \
    return text(device, hash(#name), out, length); }
#define PAIR(name) int name(gpu *device, unsigned *a, unsigned *b) { ENTER(name); \
    member(device, #name ".1", b, 4); return number(device, hash(#name ".0"), a, 4); }

UINT(nvmlDeviceGetBoardId) UINT(nvmlDeviceGetMinorNumber) UINT(nvmlDeviceGetModuleId) UINT(nvmlDeviceGetIrqNum)
UINT(nvmlDeviceGetNumaNodeId) UINT(nvmlDeviceGetBrand) UINT(nvmlDeviceGetArchitecture) UINT(nvmlDeviceGetNumGpuCores)
UINT(nvmlDeviceGetMemoryBusWidth) UINT(nvmlDeviceGetPowerManagementDefaultLimit) UINT(nvmlDeviceGetMaxPcieLinkGeneration)
UINT(nvmlDeviceGetGpuMaxPcieLinkGeneration) UINT(nvmlDeviceGetMaxPcieLinkWidth)
UINT(nvmlDeviceGetInforomConfigurationChecksum) UINT(nvmlDeviceGetPersistenceMode)
UINT(nvmlDeviceGetComputeMode) UINT(nvmlDeviceGetVirtualizationMode) UINT(nvmlDeviceGetHostVgpuMode)
UINT(nvmlDeviceGetPowerUsage) UINT(nvmlDeviceGetEnforcedPowerLimit) UINT(nvmlDeviceGetPowerManagementLimit)
UINT(nvmlDeviceGetCurrPcieLinkGeneration) UINT(nvmlDeviceGetCurrPcieLinkWidth) UINT(nvmlDeviceGetPcieReplayCounter)
UINT(nvmlDeviceGetPerformanceState) UINT(nvmlDeviceGetFanSpeed)
UINT_ELSE(nvmlDeviceGetGpuInstanceId, INVALID_ARGUMENT) UINT_ELSE(nvmlDeviceGetComputeInstanceId, INVALID_ARGUMENT)
UINT_OF(nvmlDeviceGetClockInfo) UINT_OF(nvmlDeviceGetMaxClockInfo) UINT_OF(nvmlDeviceGetApplicationsClock)
UINT_OF(nvmlDeviceGetTemperature) UINT_OF(nvmlDeviceGetTemperatureThreshold) UINT_OF(nvmlDeviceGetNvLinkState)
UINT_OF(nvmlDeviceGetNvLinkVersion)
WIDE(nvmlDeviceGetCurrentClocksEventReasons) WIDE(nvmlDeviceGetCurrentClocksThrottleReasons)
WIDE(nvmlDeviceGetTotalEnergyConsumption)
STRING(nvmlDeviceGetName) STRING(nvmlDeviceGetUUID) STRING(nvmlDeviceGetSerial) STRING(nvmlDeviceGetBoardPartNumber)
STRING(nvmlDeviceGetVbiosVersion) STRING(nvmlDeviceGetInforomImageVersion)
PAIR(nvmlDeviceGetPowerManagementLimitConstraints) PAIR(nvmlDeviceGetEccMode) PAIR(nvmlDeviceGetMigMode)
PAIR(nvmlDeviceGetGspFirmwareMode) PAIR(nvmlDeviceGetEncoderUtilization) PAIR(nvmlDeviceGetDecoderUtilization)
PAIR(nvmlDeviceGetCudaComputeCapability)

static int init(const char *name) {
    int code = enter(NULL, name);
    return code ? code : init_code;
}
int nvmlInitWithFlags(unsigned flags) { (void)flags; return init("nvmlInitWithFlags"); }
int nvmlInit_v2(void) { return init("nvmlInit_v2"); }
int nvmlInit(void) { return init("nvmlInit"); }
int nvmlShutdown(void) { return enter(NULL, "nvmlShutdown"); }
const char *nvmlErrorString(int code) { (void)code; return "fake"; }

static int copy_text(const char *name, const char *from, char *out, unsigned length) {
    int code = enter(NULL, name);
    if (code) return code;
    snprintf(out, length, "%s", from);
    return SUCCESS;
}
int nvmlSystemGetDriverVersion(char *out, unsigned length) { return copy_text("nvmlSystemGetDriverVersion", driver, out, length); }
int nvmlSystemGetNVMLVersion(char *out, unsigned length) { return copy_text("nvmlSystemGetNVMLVersion", nvml, out, length); }
int nvmlSystemGetCudaDriverVersion(int *out) { int code = enter(NULL, "nvmlSystemGetCudaDriverVersion"); *out = cuda; return code; }
int nvmlSystemGetConfComputeState(compute_state *out) {
    int code = enter(NULL, "nvmlSystemGetConfComputeState");
    *out = (compute_state){0, 0, 0};
    return code;
}

static int count_gpus(const char *name, unsigned *out) { int code = enter(NULL, name); *out = gpu_count; return code; }
int nvmlDeviceGetCount_v2(unsigned *out) { return count_gpus("nvmlDeviceGetCount_v2", out); }
int nvmlDeviceGetCount(unsigned *out) { return count_gpus("nvmlDeviceGetCount", out); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **out) {
    if (index >= (unsigned)gpu_count) return INVALID_ARGUMENT;
    *out = &gpus[index];
    return enter(&gpus[index], "nvmlDeviceGetHandleByIndex_v2");
}
int nvmlDeviceGetHandleByIndex(unsigned index, gpu **out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }
int nvmlDeviceGetMigDeviceHandleByIndex(gpu *device, unsigned index, gpu **out) {
    ENTER(nvmlDeviceGetMigDeviceHandleByIndex);
    if (index >= (unsigned)device->migs) return NOT_FOUND;
    *out = &migs[device->index][index];
    return SUCCESS;
}

static int memory(gpu *device, ull *total, ull *reserved, ull *unused, ull *used) {
    int code = member(device, "nvmlDeviceGetMemoryInfo.total", total, 8);
    member(device, "nvmlDeviceGetMemoryInfo.used", used, 8);
    member(device, "nvmlDeviceGetMemoryInfo.reserved", reserved, 8);
    *unused = *total - *used - *reserved;
    return code;
}
int nvmlDeviceGetMemoryInfo_v2(gpu *device, memory_2 *out) {
    ENTER(nvmlDeviceGetMemoryInfo_v2);
    if (out->version != (sizeof *out | 2U << 24)) return VERSION_MISMATCH;
    return memory(device, &out->total, &out->reserved, &out->free, &out->used);
}
int nvmlDeviceGetMemoryInfo(gpu *device, memory_1 *out) {
    ENTER(nvmlDeviceGetMemoryInfo);
    ull reserved;
    int code = memory(device, &out->total, &reserved, &out->free, &out->used);
    out->used += reserved;
    return code;
}
int nvmlDeviceGetUtilizationRates(gpu *device, utilization *out) {
    ENTER(nvmlDeviceGetUtilizationRates);
    member(device, "nvmlDeviceGetUtilizationRates.memory", &out->memory, 4);
    return member(device, "nvmlDeviceGetUtilizationRates.gpu", &out->gpu, 4);
}
int nvmlDeviceGetBAR1MemoryInfo(gpu *device, bar1 *out) {
    ENTER(nvmlDeviceGetBAR1MemoryInfo);
    *out = (bar1){0, 0, 0};
    return member(device, "nvmlDeviceGetBAR1MemoryInfo.bar1Total", &out->total, 8);
}
static int pci(gpu *device, unsigned *domain, unsigned *bus, unsigned *slot, unsigned *id, unsigned *subsystem, char *bus_id) {
    entry *address = find(device, hash("nvmlDeviceGetPciInfo.busId"), 0);
    if (!address || sscanf(address->text, "%x:%x:%x", domain, bus, slot) != 3) return NOT_SUPPORTED;
    sprintf(bus_id, "%08X:%02X:%02X.0", *domain, *bus, *slot);
    member(device, "nvmlDeviceGetPciInfo.pciSubSystemId", subsystem, 4);
    return member(device, "nvmlDeviceGetPciInfo.pciDeviceId", id, 4);
}
int nvmlDeviceGetPciInfo_v3(gpu *device, pci_3 *out) {
    ENTER(nvmlDeviceGetPciInfo_v3);
    return pci(device, &out->domain, &out->bus, &out->device, &out->id, &out->subsystem, out->bus_id);
}
int nvmlDeviceGetPciInfo_v2(gpu *device, pci_2 *out) {
    ENTER(nvmlDeviceGetPciInfo_v2);
    char bus_id[32];
    int code = pci(device, &out->domain, &out->bus, &out->device, &out->id, &out->subsystem, bus_id);
    snprintf(out->bus_id, sizeof out->bus_id, "%.15s", bus_id + 4);
    return code;
}
int nvmlDeviceGetTemperatureV(gpu *device, temperature *out) {
    ENTER(nvmlDeviceGetTemperatureV);
    if (out->version != (sizeof *out | 1U << 24)) return VERSION_MISMATCH;
    return number(device, with(hash("nvmlDeviceGetTemperature"), out->sensor), &out->value, 4);
}
int nvmlDeviceGetCpuAffinity(gpu *device, unsigned words, unsigned long *out) {
    ENTER(nvmlDeviceGetCpuAffinity);
    memset(out, 0, words * sizeof *out);
    return number(device, hash("nvmlDeviceGetCpuAffinity"), out, 8);
}
int nvmlDeviceGetTopologyCommonAncestor(gpu *device, gpu *other, unsigned *out) {
    ENTER(nvmlDeviceGetTopologyCommonAncestor);
    (void)other;
    return number(device, hash("nvmlDeviceGetTopologyCommonAncestor"), out, 4);
}
int nvmlDeviceGetP2PStatus(gpu *device, gpu *other, unsigned what, unsigned *out) {
    ENTER(nvmlDeviceGetP2PStatus);
    (void)other;
    return number(device, with(hash("nvmlDeviceGetP2PStatus"), what), out, 4);
}
int nvmlDeviceGetFanSpeed_v2(gpu *device, unsigned fan, unsigned *out) {
    ENTER(nvmlDeviceGetFanSpeed_v2);
    return number(device, with(hash("nvmlDeviceGetFanSpeed_v2"), fan), out, 4) ? INVALID_ARGUMENT : SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(gpu *device, unsigned *out) {
    ENTER(nvmlDeviceGetMaxMigDeviceCount);
    unsigned on = 0;
    member(device, "nvmlDeviceGetMigMode.0", &on, 4);
    *out = 0;
    return on ? number(device, hash("nvmlDeviceGetMaxMigDeviceCount"), out, 4) : SUCCESS;
}
int nvmlDeviceGetGspFirmwareVersion(gpu *device, char *out) {
    ENTER(nvmlDeviceGetGspFirmwareVersion);
    return text(device, hash("nvmlDeviceGetGspFirmwareVersion"), out, 64);
}
int nvmlDeviceGetPdi(gpu *device, pdi *out) { ENTER(nvmlDeviceGetPdi); return number(device, hash("nvmlDeviceGetPdi"), &out->value, 8); }
int nvmlDeviceGetHandleByUUID(const char *wanted, gpu **out) {
    refresh();
    for (int index = 0; index < gpu_count; index++) {
        char known[TEXT] = "";
        if (text(&gpus[index], hash("nvmlDeviceGetUUID"), known, TEXT) || strcmp(known, wanted)) continue;
        *out = &gpus[index];
        return enter(*out, "nvmlDeviceGetHandleByUUID");
    }
    return NOT_FOUND;
}
/* Where a key has been set: the head of an SPDM request with the nonce in it, and the text as what the chip signs. */
int nvmlDeviceGetConfComputeGpuAttestationReport(gpu *device, chip_report *out) {
    ENTER(nvmlDeviceGetConfComputeGpuAttestationReport);
    char said[TEXT] = "";
    int code = text(device, hash("nvmlDeviceGetConfComputeGpuAttestationReport"), said, TEXT);
    if (code) return code;
    memcpy(out->report, "\x11\xe0\x01\xff", 4);
    memcpy(out->report + 4, out->nonce, 32);
    out->report[36] = 0;
    memcpy(out->report + 37, said, strlen(said));
    out->size = 37 + strlen(said);
    return SUCCESS;
}
int nvmlDeviceGetConfComputeGpuCertificate(gpu *device, certificate *out) {
    ENTER(nvmlDeviceGetConfComputeGpuCertificate);
    int code = text(device, hash("nvmlDeviceGetConfComputeGpuCertificate"), (char *)out->attestation, TEXT);
    out->size = code ? 0 : strlen((char *)out->attestation);
    return code;
}
int nvmlDeviceGetAttributes_v2(gpu *device, attributes *out) {
    ENTER(nvmlDeviceGetAttributes_v2);
    if (!device->parent) return NOT_SUPPORTED;
    *out = (attributes){.sms = 16, .gi_slices = 1, .ci_slices = 1};
    return SUCCESS;
}
static int fabric(gpu *device, unsigned char *cluster, int *status, unsigned *clique, unsigned char *state) {
    unsigned byte;
    member(device, "nvmlDeviceGetGpuFabricInfo.clusterUuid", &byte, 4);
    memset(cluster, byte, 16);
    member(device, "nvmlDeviceGetGpuFabricInfo.status", status, 4);
    member(device, "nvmlDeviceGetGpuFabricInfo.cliqueId", clique, 4);
    return member(device, "nvmlDeviceGetGpuFabricInfo.state", state, 1);
}
int nvmlDeviceGetGpuFabricInfoV(gpu *device, fabric_3 *out) {
    ENTER(nvmlDeviceGetGpuFabricInfoV);
    unsigned newest = atoi(driver) >= 550 ? 0x3000028 : 0x2000024;
    if (out->version != newest && out->version != 0x2000024) return VERSION_MISMATCH;
    member(device, "nvmlDeviceGetGpuFabricInfo.healthMask", &out->health, 4);
    if (out->version == 0x3000028) member(device, "nvmlDeviceGetGpuFabricInfo.healthSummary", &out->summary, 1);
    return fabric(device, out->cluster, &out->status, &out->clique, &out->state);
}
int nvmlDeviceGetGpuFabricInfo(gpu *device, fabric_1 *out) {
    ENTER(nvmlDeviceGetGpuFabricInfo);
    return fabric(device, out->cluster, &out->status, &out->clique, &out->state);
}
int nvmlDeviceGetTotalEccErrors(gpu *device, unsigned error, unsigned since, ull *out) {
    ENTER(nvmlDeviceGetTotalEccErrors);
    return number(device, with(with(hash("nvmlDeviceGetTotalEccErrors"), error), since), out, 8);
}
int nvmlDeviceGetMemoryErrorCounter(gpu *device, unsigned error, unsigned since, unsigned place, ull *out) {
    ENTER(nvmlDeviceGetMemoryErrorCounter);
    return number(device, with(with(with(hash("nvmlDeviceGetMemoryErrorCounter"), error), since), place), out, 8);
}
int nvmlDeviceGetSramEccErrorStatus(gpu *device, sram_status *out) {
    ENTER(nvmlDeviceGetSramEccErrorStatus);
    if (out->version != (sizeof *out | 1U << 24)) return VERSION_MISMATCH;
    return number(device, hash("nvmlDeviceGetSramEccErrorStatus.bThresholdExceeded"), &out->exceeded, 4);
}
int nvmlDeviceGetRemappedRows(gpu *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failure) {
    ENTER(nvmlDeviceGetRemappedRows);
    member(device, "nvmlDeviceGetRemappedRows.1", uncorrected, 4);
    member(device, "nvmlDeviceGetRemappedRows.2", pending, 4);
    member(device, "nvmlDeviceGetRemappedRows.3", failure, 4);
    return member(device, "nvmlDeviceGetRemappedRows.0", corrected, 4);
}
int nvmlDeviceGetRowRemapperHistogram(gpu *device, histogram *out) {
    ENTER(nvmlDeviceGetRowRemapperHistogram);
    member(device, "nvmlDeviceGetRowRemapperHistogram.high", &out->high, 4);
    member(device, "nvmlDeviceGetRowRemapperHistogram.partial", &out->partial, 4);
    member(device, "nvmlDeviceGetRowRemapperHistogram.low", &out->low, 4);
    member(device, "nvmlDeviceGetRowRemapperHistogram.none", &out->none, 4);
    return member(device, "nvmlDeviceGetRowRemapperHistogram.max", &out->max, 4);
}
int nvmlDeviceGetNvLinkErrorCounter(gpu *device, unsigned link, unsigned counter, ull *out) {
    ENTER(nvmlDeviceGetNvLinkErrorCounter);
    return number(device, with(with(hash("nvmlDeviceGetNvLinkErrorCounter"), link), counter), out, 8);
}
int nvmlDeviceGetViolationStatus(gpu *device, unsigned policy, violation *out) {
    ENTER(nvmlDeviceGetViolationStatus);
    out->reference = 0;
    return number(device, with(hash("nvmlDeviceGetViolationStatus"), policy), &out->violation, 8);
}
int nvmlDeviceGetFieldValues(gpu *device, int count, field_value *values) {
    ENTER(nvmlDeviceGetFieldValues);
    for (field_value *at = values; at < values + count; at++) {
        fake_field *field = at->id < MAX_FIELDS ? &device->fields[at->id] : NULL;
        at->code = number(device, with(with(hash("nvmlDeviceGetFieldValues"), at->id), at->scope), &at->value, 4);
        at->kind = 1;
        if (!at->code) continue;
        at->code = !field || !field->set ? NOT_SUPPORTED : field->code;
        if (at->code) continue;
        at->kind = field->kind;
        memcpy(&at->value, &field->value, field->kind == 1 || field->kind == 5 ? 4 : 8);
    }
    return SUCCESS;
}

/* Calls of the drivers of 2024 to 2026, laid out as nvml.h 13.4.92 has them. Where SINCE has no branch they are in none. */
typedef struct { unsigned version; unsigned char guid[16], chassis[16], slot, tray, host, peer, module; } platform;
typedef struct { const char *path; ull soft, hard, used; } memory_limits;
typedef struct { unsigned asked, allowed, overridden, enabled, limit; } adaptive_tgp;
typedef struct { unsigned active, inactive, pending, most, none; } bank_remapper;
typedef struct { unsigned char type; unsigned id; } clique;
typedef struct { unsigned char cluster[16]; int status; clique cliques[64]; unsigned count; unsigned char state;
                 unsigned health; unsigned char summary; } fabric_4;
typedef struct { unsigned version; int margin; } margin;
typedef struct { unsigned version, known[8], asked[8], enforced[8]; } power_profiles;

static void bytes_of(gpu *device, const char *name, unsigned char *out) {
    char said[TEXT] = "";
    text(device, hash(name), said, TEXT);
    for (unsigned index = 0; index < 16; index++) {
        char pair[3] = {0};
        if (2 * index + 1 < strlen(said)) memcpy(pair, said + 2 * index, 2);
        out[index] = (unsigned char)strtoul(pair, NULL, 16);
    }
}
int nvmlDeviceGetPlatformInfo(gpu *device, platform *out) {
    ENTER(nvmlDeviceGetPlatformInfo);
    if (out->version != (sizeof *out | (atoi(driver) < 570 ? 1U : 2U) << 24)) return VERSION_MISMATCH;
    bytes_of(device, "nvmlDeviceGetPlatformInfo.ibGuid", out->guid);
    bytes_of(device, "nvmlDeviceGetPlatformInfo.chassisSerialNumber", out->chassis);
    member(device, "nvmlDeviceGetPlatformInfo.trayIndex", &out->tray, 1);
    member(device, "nvmlDeviceGetPlatformInfo.hostId", &out->host, 1);
    member(device, "nvmlDeviceGetPlatformInfo.peerType", &out->peer, 1);
    member(device, "nvmlDeviceGetPlatformInfo.moduleId", &out->module, 1);
    return member(device, "nvmlDeviceGetPlatformInfo.slotNumber", &out->slot, 1);
}
/* Of the control group that the scenario names, as "nvmlDeviceGetMemoryLimits.nameSpace". */
int nvmlDeviceGetMemoryLimits_v1(gpu *device, memory_limits *out) {
    ENTER(nvmlDeviceGetMemoryLimits_v1);
    char path[TEXT] = "";
    text(device, hash("nvmlDeviceGetMemoryLimits.nameSpace"), path, TEXT);
    if (!out->path) return INVALID_ARGUMENT;
    if (*path && strcmp(path, out->path)) return NOT_FOUND;
    return member(device, "nvmlDeviceGetMemoryLimits.hardLimit", &out->hard, 8);
}
int nvmlDeviceGetAdaptiveTgpModeInfo_v1(gpu *device, adaptive_tgp *out) {
    ENTER(nvmlDeviceGetAdaptiveTgpModeInfo_v1);
    member(device, "nvmlDeviceGetAdaptiveTgpModeInfo.adjustedLimitMw", &out->limit, 4);
    return member(device, "nvmlDeviceGetAdaptiveTgpModeInfo.enablementStatus", &out->enabled, 4);
}
int nvmlDeviceGetBankRemapperStatus_v1(gpu *device, bank_remapper *out) {
    ENTER(nvmlDeviceGetBankRemapperStatus_v1);
    member(device, "nvmlDeviceGetBankRemapperStatus.inactiveRemappings", &out->inactive, 4);
    member(device, "nvmlDeviceGetBankRemapperStatus.bPending", &out->pending, 4);
    member(device, "nvmlDeviceGetBankRemapperStatus.maxSpareGroupCount", &out->most, 4);
    member(device, "nvmlDeviceGetBankRemapperStatus.noSpareGroupCount", &out->none, 4);
    return member(device, "nvmlDeviceGetBankRemapperStatus.activeRemappings", &out->active, 4);
}
/* One member by nvml.h; behind a version, as the binding has it, where ".second" is set. */
int nvmlDeviceGetUnrepairableMemoryFlag_v1(gpu *device, unsigned *out) {
    ENTER(nvmlDeviceGetUnrepairableMemoryFlag_v1);
    if (!number(device, hash("nvmlDeviceGetUnrepairableMemoryFlag.second"), out + 1, 4)) return SUCCESS;
    return number(device, hash("nvmlDeviceGetUnrepairableMemoryFlag.first"), out, 4);
}
/* Two cliques, the one that is reached by pointer last. */
int nvmlDeviceGetGpuFabricInfo_v4(gpu *device, fabric_4 *out) {
    ENTER(nvmlDeviceGetGpuFabricInfo_v4);
    out->count = 2;
    out->cliques[0] = (clique){2, 99}, out->cliques[1] = (clique){0, 0};
    member(device, "nvmlDeviceGetGpuFabricInfo.healthMask", &out->health, 4);
    member(device, "nvmlDeviceGetGpuFabricInfo.healthSummary", &out->summary, 1);
    return fabric(device, out->cluster, &out->status, &out->cliques[1].id, (unsigned char *)&out->state);
}
int nvmlDeviceGetMarginTemperature(gpu *device, margin *out) {
    ENTER(nvmlDeviceGetMarginTemperature);
    if (out->version != (sizeof *out | 1U << 24)) return VERSION_MISMATCH;
    return member(device, "nvmlDeviceGetMarginTemperature.marginTemperature", &out->margin, 4);
}
int nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(gpu *device, power_profiles *out) {
    ENTER(nvmlDeviceWorkloadPowerProfileGetCurrentProfiles);
    if (out->version != (sizeof *out | 1U << 24)) return VERSION_MISMATCH;
    member(device, "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles.enforced", out->enforced, 8);
    return member(device, "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles.requested", out->asked, 8);
}
int nvmlDeviceGetClock(gpu *device, unsigned clock, unsigned which, unsigned *out) {
    ENTER(nvmlDeviceGetClock);
    return number(device, with(with(hash("nvmlDeviceGetClock"), clock), which), out, 4);
}

/* Drivers 535.43 to 535.86 wrote a longer entry under _v3, which 535.98 took back. */
static int wide_entries(const char *name) {
    unsigned branch = 0, release = 0;
    sscanf(driver, "%u.%u", &branch, &release);
    return strstr(name, "_v3") && branch == 535 && release >= 43 && release <= 86;
}
static int list_processes(gpu *device, const char *name, int graphics, unsigned *count, void *out) {
    process_info *from = graphics ? device->graphic : device->process;
    unsigned held = graphics ? device->graphics : device->processes, room = *count;
    *count = held;
    if (held > room || (held && !out)) return INSUFFICIENT_SIZE;
    for (unsigned index = 0; index < held; index++)
        if (wide_entries(name)) ((process_info_wide *)out)[index] =
            (process_info_wide){from[index].pid, from[index].memory, from[index].gi, from[index].ci, 0};
        else if (strstr(name, "_v")) ((process_info *)out)[index] = from[index];
        else ((process_info_1 *)out)[index] = (process_info_1){from[index].pid, from[index].memory};
    return SUCCESS;
}
#define PROCESSES(name, graphics) int name(gpu *device, unsigned *count, void *out) { \
    ENTER(name); return list_processes(device, #name, graphics, count, out); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, 0)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, 0)
PROCESSES(nvmlDeviceGetComputeRunningProcesses, 0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, 1)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, 1)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, 1)

typedef struct { int operational, xid; } event_set;
int nvmlEventSetCreate(event_set **out) { *out = calloc(1, sizeof **out); return enter(NULL, "nvmlEventSetCreate"); }
int nvmlEventSetFree(event_set *set) { free(set); return SUCCESS; }
int nvmlDeviceGetSupportedEventTypes(gpu *device, ull *out) { ENTER(nvmlDeviceGetSupportedEventTypes); *out = 0x1b; return SUCCESS; }
int nvmlDeviceRegisterEvents(gpu *device, ull types, void *set) { (void)types; (void)set; ENTER(nvmlDeviceRegisterEvents); return SUCCESS; }
static int next_event(event_data *out) {
    pthread_mutex_lock(&lock);
    int code = TIMEOUT;
    for (int index = 0; index < xid_count && code; index++) {
        if (xids[index].line <= last_xid_line) continue;
        last_xid_line = xids[index].line;
        *out = (event_data){&gpus[xids[index].gpu], 8, xids[index].code, ~0U, ~0U};
        code = SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return code;
}
int nvmlEventSetWait_v2(void *set, event_data *out, unsigned milliseconds) {
    (void)set;
    for (unsigned waited = 0; ; waited += 100) { /* rarely, as a real wait costs nothing */
        refresh();
        int code = rule_count ? obey(-1, "nvmlEventSetWait_v2") : SUCCESS;
        if (code) return code;
        code = next_event(out);
        if (!code || waited >= milliseconds) return code;
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
}

int nvmlEventSetRegisterGpuOperationalEvents_v1(event_set *set, operational_config *config) {
    for (int index = 0; index < gpu_count; index++) {
        char known[TEXT] = "";
        if (text(&gpus[index], hash("nvmlDeviceGetUUID"), known, TEXT) || strcmp(known, config->uuid)) continue;
        int code = enter(&gpus[index], "nvmlEventSetRegisterGpuOperationalEvents_v1");
        if (!code) set->operational |= 1 << index;
        return code;
    }
    return NOT_FOUND;
}
static int next_operational(event_set *set, event_3 *out) {
    pthread_mutex_lock(&lock);
    int code = TIMEOUT;
    for (int index = 0; index < operational_count && code; index++) {
        operational *one = &operationals[index];
        if (one->line <= last_operational_line || !(set->operational >> one->gpu & 1)) continue;
        last_operational_line = one->line;
        *out = one->told, set->xid = one->xid;
        text(&gpus[one->gpu], hash("nvmlDeviceGetUUID"), out->uuid, sizeof out->uuid);
        code = SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return code;
}
static int next_bit(event_3 *out) {
    event_data bit;
    int code = next_event(&bit);
    if (code) return code;
    *out = (event_3){.event = bit.type, .data = bit.data, .gi = bit.gi, .ci = bit.ci};
    return text(bit.device, hash("nvmlDeviceGetUUID"), out->uuid, sizeof out->uuid);
}
int nvmlEventSetWait_v3(event_set *set, event_3 *out) {
    unsigned milliseconds = out->milliseconds;
    for (unsigned waited = 0; ; waited += 100) {
        refresh();
        int code = rule_count ? obey(-1, "nvmlEventSetWait_v3") : SUCCESS;
        if (code) return code;
        code = next_bit(out);
        if (code) code = next_operational(set, out);
        if (!code || waited >= milliseconds) return code;
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
}
/* Each carries something else first, then its XID, if it has one. */
int nvmlEventSetGetContextCount_v1(event_set *set, unsigned *out) {
    *out = set->xid < 0 ? 1 : 2;
    return enter(NULL, "nvmlEventSetGetContextCount_v1");
}
int nvmlEventSetGetContextInfo_v1(event_set *set, context_info *out) {
    (void)set;
    out->type = out->index == 1;
    return enter(NULL, "nvmlEventSetGetContextInfo_v1");
}
int nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1(event_set *set, legacy_xid *out) {
    if (out->index != 1 || set->xid < 0) return INVALID_ARGUMENT;
    out->code = set->xid;
    return enter(NULL, "nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1");
}
int nvmlEventSetWait(void *set, event_data *out, unsigned milliseconds) { return nvmlEventSetWait_v2(set, out, milliseconds); }

int nvmlGpmQueryDeviceSupport(gpu *device, gpm_support *out) {
    ENTER(nvmlGpmQueryDeviceSupport);
    member(device, "nvmlGpmQueryDeviceSupport.isSupportedDevice", &out->supported, 4);
    return SUCCESS;
}
int nvmlGpmSampleAlloc(void **out) { *out = malloc(8); return enter(NULL, "nvmlGpmSampleAlloc"); }
int nvmlGpmSampleFree(void *sample) { free(sample); return SUCCESS; }
int nvmlGpmSampleGet(gpu *device, void *sample) { ENTER(nvmlGpmSampleGet); memcpy(sample, &device, 8); return SUCCESS; }
int nvmlGpmMetricsGet(gpm_get *out) {
    gpu *device;
    memcpy(&device, out->two, 8);
    ENTER(nvmlGpmMetricsGet);
    for (unsigned index = 0; index < out->count; index++) {
        ull value = 0;
        gpm_metric *metric = &out->metrics[index];
        metric->code = number(device, with(hash("nvmlGpmMetricsGet"), metric->id), &value, 8);
        metric->value = (double)value / 100;
    }
    return SUCCESS;
}

#define AT(python, name, type, member) #python " " #name, offsetof(type, member)
/* "structure member" and its offset ("-": the size of the structure), for the test that pins the layouts. */
static const struct { const char *what; size_t bytes; } layouts[] = {
    {"c_nvmlMemory_t -", sizeof(memory_1)}, {AT(c_nvmlMemory_t, used, memory_1, used)},
    {"c_nvmlMemory_v2_t -", sizeof(memory_2)}, {AT(c_nvmlMemory_v2_t, total, memory_2, total)},
    {AT(c_nvmlMemory_v2_t, reserved, memory_2, reserved)}, {AT(c_nvmlMemory_v2_t, used, memory_2, used)},
    {"c_nvmlUtilization_t -", sizeof(utilization)}, {"c_nvmlBAR1Memory_t -", sizeof(bar1)},
    {"nvmlPciInfo_t -", sizeof(pci_3)}, {AT(nvmlPciInfo_t, domain, pci_3, domain)},
    {AT(nvmlPciInfo_t, pciDeviceId, pci_3, id)}, {AT(nvmlPciInfo_t, busId, pci_3, bus_id)},
    {"nvmlPciInfo_v2_t -", sizeof(pci_2)}, {AT(nvmlPciInfo_v2_t, pciSubSystemId, pci_2, subsystem)},
    {"c_nvmlFieldValue_t -", sizeof(field_value)}, {AT(c_nvmlFieldValue_t, scopeId, field_value, scope)},
    {AT(c_nvmlFieldValue_t, valueType, field_value, kind)}, {AT(c_nvmlFieldValue_t, nvmlReturn, field_value, code)},
    {AT(c_nvmlFieldValue_t, value, field_value, value)},
    {"c_nvmlEventData_t -", sizeof(event_data)}, {AT(c_nvmlEventData_t, eventData, event_data, data)},
    {AT(c_nvmlEventData_t, gpuInstanceId, event_data, gi)},
    {"ProcessInfo2 -", sizeof(process_info)}, {AT(ProcessInfo2, usedGpuMemory, process_info, memory)},
    {"ProcessInfo1 -", sizeof(process_info_1)}, {"WideProcessInfo -", sizeof(process_info_wide)},
    {"Temperature1 -", sizeof(temperature)}, {AT(Temperature1, temperature, temperature, value)},
    {"c_nvmlRowRemapperHistogramValues -", sizeof(histogram)},
    {"c_nvmlEccSramErrorStatus_v1_t -", sizeof(sram_status)},
    {AT(c_nvmlEccSramErrorStatus_v1_t, bThresholdExceeded, sram_status, exceeded)},
    {"FabricInfo1 -", sizeof(fabric_1)}, {AT(FabricInfo1, state, fabric_1, state)}, {"FabricInfo3 -", sizeof(fabric_3)},
    {AT(FabricInfo3, state, fabric_3, state)}, {AT(FabricInfo3, healthMask, fabric_3, health)},
    {AT(FabricInfo2, healthMask, fabric_3, health)},
    {"OperationalConfig1 -", sizeof(operational_config)}, {AT(OperationalConfig1, minSeverity, operational_config, severity)},
    {"EventWait3 -", sizeof(event_3)}, {AT(EventWait3, eventType, event_3, event)}, {AT(EventWait3, traceId, event_3, trace)},
    {AT(EventWait3, severity, event_3, severity)}, {AT(EventWait3, attributes, event_3, attributes)},
    {AT(EventWait3, groupIndex, event_3, group_index)},
    {"ContextInfo1 -", sizeof(context_info)}, {"LegacyXid1 -", sizeof(legacy_xid)},
    {"c_nvmlDeviceAttributes -", sizeof(attributes)}, {AT(c_nvmlDeviceAttributes, gpuInstanceSliceCount, attributes, gi_slices)},
    {"c_nvmlConfComputeGpuAttestationReport_t -", sizeof(chip_report)}, {"c_nvmlConfComputeGpuCertificate_t -", sizeof(certificate)},
    {AT(c_nvmlConfComputeGpuAttestationReport_t, attestationReport, chip_report, report)},
    {AT(c_nvmlConfComputeGpuCertificate_t, attestationCertChain, certificate, attestation)},
    {"Pdi1 -", sizeof(pdi)}, {AT(Pdi1, value, pdi, value)},
    {"c_nvmlViolationTime_t -", sizeof(violation)}, {"c_nvmlConfComputeSystemState_t -", sizeof(compute_state)},
    {"c_nvmlGpmSupport_t -", sizeof(gpm_support)}, {"c_nvmlGpmMetric_t -", sizeof(gpm_metric)},
    {AT(c_nvmlGpmMetricsGet_t, metrics, gpm_get, metrics)},
};
int fake_layout(int index, const char **what, unsigned *bytes) {
    if (index >= (int)(sizeof layouts / sizeof *layouts)) return 0;
    *what = layouts[index].what, *bytes = layouts[index].bytes;
    return 1;
}
