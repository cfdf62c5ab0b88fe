/*
 * A preload shim: file calls of a real process fail according to a control file.
 *
 *   cc -shared -fPIC -O1 -o shim.so shim.c -ldl -lpthread
 *   LD_PRELOAD=./shim.so FAULTS_FILE=rules.txt program
 *
 * A rule is a line: PREFIX CALLS NTH HOW ARGUMENT
 *   PREFIX    of the file's path, as the kernel returns it; "*" matches any bytes
 *   CALLS     names joined by ",": open read write fsync fdatasync rename unlink ftruncate; the forms with
 *             an offset or with vectors count as their simple ones
 *   NTH       which of these calls, from 1; with "+" after it, also all later ones
 *   HOW       errno (ARGUMENT: its number) | delay (milliseconds, then the call) |
 *             tear (writes this many bytes, then EIO) | flip (that bit of the bytes read) | kill
 * The shim rereads the file whenever it changes, and restarts the counts. It appends a line for each hit to
 * FAULTS_FILE.hits: the rule's number, the call, the path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 32
#define FILE_BYTES_MAX 16384

struct rule {
  char prefix[PATH_MAX];
  char calls[128];
  char how[16];
  long nth;
  int forever;
  long argument;
  long seen;
};

static struct rule rules[RULES_MAX];
static int rule_count;
static struct timespec read_at;
static long long read_size = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *control(void) {
  static const char *path;
  static int asked;
  if (!asked) {
    path = getenv("FAULTS_FILE");
    asked = 1;
  }
  return path;
}

static void reload(const char *path) {
  struct stat now;
  if (syscall(SYS_newfstatat, AT_FDCWD, path, &now, 0) != 0) {
    rule_count = 0;
    read_size = -1;
    return;
  }
  if (now.st_size == read_size && now.st_mtim.tv_sec == read_at.tv_sec && now.st_mtim.tv_nsec == read_at.tv_nsec) return;
  char text[FILE_BYTES_MAX];
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return;
  long length = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  if (length < 0) return;
  text[length] = 0;
  read_size = now.st_size;
  read_at = now.st_mtim;
  rule_count = 0;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line && rule_count < RULES_MAX; line = strtok_r(NULL, "\n", &rest)) {
    struct rule *rule = &rules[rule_count];
    char nth[32];
    memset(rule, 0, sizeof *rule);
    if (sscanf(line, "%4000s %127s %31s %15s %ld", rule->prefix, rule->calls, nth, rule->how, &rule->argument) < 4) continue;
    strcat(rule->prefix, "*");
    rule->nth = atol(nth);
    rule->forever = strchr(nth, '+') != NULL;
    rule_count += 1;
  }
}

static int names(const char *calls, const char *call) {
  size_t length = strlen(call);
  for (const char *at = calls; (at = strstr(at, call)) != NULL; at += length) {
    int begins = at == calls || at[-1] == ',';
    if (begins && (at[length] == 0 || at[length] == ',')) return 1;
  }
  return 0;
}

static void note(int number, const char *call, const char *path) {
  char name[PATH_MAX], line[PATH_MAX + 64];
  snprintf(name, sizeof name, "%s.hits", control());
  int length = snprintf(line, sizeof line, "%d %s %s\n", number, call, path);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, length);
  syscall(SYS_close, fd);
}

/* Copies the rule that applies to this call; returns 0 if none does. */
static int hit(const char *call, const char *path, struct rule *found) {
  const char *file = control();
  if (file == NULL) return 0;
  int is_hit = 0;
  pthread_mutex_lock(&lock);
  reload(file);
  for (int i = 0; i < rule_count; i += 1) {
    struct rule *rule = &rules[i];
    if (!names(rule->calls, call) || fnmatch(rule->prefix, path, 0) != 0) continue;
    rule->seen += 1;
    if (is_hit || (rule->seen != rule->nth && !(rule->forever && rule->seen > rule->nth))) continue;
    *found = *rule;
    is_hit = 1;
    note(i + 1, call, path);
  }
  pthread_mutex_unlock(&lock);
  return is_hit;
}

/* Without a control file, or for other descriptors than files, no rule applies. */
static int hit_fd(const char *call, int fd, struct rule *found) {
  char link[64], path[PATH_MAX];
  if (control() == NULL) return 0;
  int before = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
  errno = before;
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = 0;
  return hit(call, path, found);
}

/* Returns 1 if the call continues, 0 if it fails with errno set. */
static int obey(const struct rule *rule) {
  if (strcmp(rule->how, "kill") == 0) syscall(SYS_kill, getpid(), SIGKILL);
  if (strcmp(rule->how, "delay") == 0) {
    struct timespec time = {rule->argument / 1000, (rule->argument % 1000) * 1000000L};
    nanosleep(&time, NULL);
    return 1;
  }
  if (strcmp(rule->how, "errno") == 0) {
    errno = (int)rule->argument;
    return 0;
  }
  return 1;
}

static size_t bytes_of(const struct iovec *vectors, int count) {
  size_t sum = 0;
  for (int i = 0; i < count; i += 1) sum += vectors[i].iov_len;
  return sum;
}

/* Writes the first bytes at the offset (-1: the current position), then fails. */
static ssize_t tear(const struct rule *rule, int fd, const struct iovec *vectors, int count, off_t offset) {
  size_t left = (size_t)rule->argument;
  for (int i = 0; i < count && left > 0; i += 1) {
    size_t part = vectors[i].iov_len < left ? vectors[i].iov_len : left;
    long done = offset < 0 ? syscall(SYS_write, fd, vectors[i].iov_base, part)
                           : syscall(SYS_pwrite64, fd, vectors[i].iov_base, part, offset);
    if (done < 0) return -1;
    if (offset >= 0) offset += done;
    left -= (size_t)done;
  }
  errno = EIO;
  return -1;
}

static void flip(const struct rule *rule, const struct iovec *vectors, int count, ssize_t done) {
  size_t at = done > 0 ? (size_t)rule->argument / 8 % (size_t)done : 0;
  if (done <= 0) return;
  for (int i = 0; i < count; i += 1) {
    if (at < vectors[i].iov_len) {
      ((unsigned char *)vectors[i].iov_base)[at] ^= (unsigned char)(1 << (rule->argument % 8));
      return;
    }
    at -= vectors[i].iov_len;
  }
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

/* A call that fails or continues as a whole. */
#define PLAIN(call, HIT, CALL)                  \
  do {                                          \
    struct rule rule;                           \
    if (HIT && !obey(&rule)) return -1;         \
    return CALL;                                \
  } while (0)

#define WRITES(fd, vectors, count, offset, CALL)                                                    \
  do {                                                                                              \
    struct rule rule;                                                                               \
    if (hit_fd("write", fd, &rule)) {                                                               \
      if (strcmp(rule.how, "tear") == 0 && bytes_of(vectors, count) > (size_t)rule.argument)        \
        return tear(&rule, fd, vectors, count, offset);                                             \
      if (!obey(&rule)) return -1;                                                                  \
    }                                                                                               \
    return CALL;                                                                                    \
  } while (0)

#define READS(fd, vectors, count, CALL)                                  \
  do {                                                                   \
    struct rule rule;                                                    \
    if (!hit_fd("read", fd, &rule)) return CALL;                         \
    if (!obey(&rule)) return -1;                                         \
    ssize_t done = CALL;                                                 \
    if (strcmp(rule.how, "flip") == 0) flip(&rule, vectors, count, done); \
    return done;                                                         \
  } while (0)

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec one = {(void *)bytes, length};
  WRITES(fd, &one, 1, -1, NEXT(ssize_t(*)(int, const void *, size_t), "write")(fd, bytes, length));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  struct iovec one = {(void *)bytes, length};
  WRITES(fd, &one, 1, offset,
         NEXT(ssize_t(*)(int, const void *, size_t, off64_t), "pwrite64")(fd, bytes, length, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t writev(int fd, const struct iovec *vectors, int count) {
  WRITES(fd, vectors, count, -1, NEXT(ssize_t(*)(int, const struct iovec *, int), "writev")(fd, vectors, count));
}

ssize_t pwritev64(int fd, const struct iovec *vectors, int count, off64_t offset) {
  WRITES(fd, vectors, count, offset,
         NEXT(ssize_t(*)(int, const struct iovec *, int, off64_t), "pwritev64")(fd, vectors, count, offset));
}

ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t offset) {
  return pwritev64(fd, vectors, count, offset);
}

ssize_t read(int fd, void *bytes, size_t length) {
  struct iovec one = {bytes, length};
  READS(fd, &one, 1, NEXT(ssize_t(*)(int, void *, size_t), "read")(fd, bytes, length));
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
  struct iovec one = {bytes, length};
  READS(fd, &one, 1, NEXT(ssize_t(*)(int, void *, size_t, off64_t), "pread64")(fd, bytes, length, offset));
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return pread64(fd, bytes, length, offset); }

ssize_t readv(int fd, const struct iovec *vectors, int count) {
  READS(fd, vectors, count, NEXT(ssize_t(*)(int, const struct iovec *, int), "readv")(fd, vectors, count));
}

ssize_t preadv64(int fd, const struct iovec *vectors, int count, off64_t offset) {
  READS(fd, vectors, count,
        NEXT(ssize_t(*)(int, const struct iovec *, int, off64_t), "preadv64")(fd, vectors, count, offset));
}

ssize_t preadv(int fd, const struct iovec *vectors, int count, off_t offset) {
  return preadv64(fd, vectors, count, offset);
}

int fsync(int fd) { PLAIN("fsync", hit_fd("fsync", fd, &rule), NEXT(int (*)(int), "fsync")(fd)); }

int fdatasync(int fd) { PLAIN("fdatasync", hit_fd("fdatasync", fd, &rule), NEXT(int (*)(int), "fdatasync")(fd)); }

int ftruncate64(int fd, off64_t length) {
  PLAIN("ftruncate", hit_fd("ftruncate", fd, &rule), NEXT(int (*)(int, off64_t), "ftruncate64")(fd, length));
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int rename(const char *from, const char *to) {
  PLAIN("rename", hit("rename", from, &rule), NEXT(int (*)(const char *, const char *), "rename")(from, to));
}

int unlink(const char *path) {
  PLAIN("unlink", hit("unlink", path, &rule), NEXT(int (*)(const char *), "unlink")(path));
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  PLAIN("open", hit("open", path, &rule), (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

int openat64(int folder, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  PLAIN("open", hit("open", path, &rule), (int)syscall(SYS_openat, folder, path, flags, mode));
}
