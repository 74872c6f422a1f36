/* A disk that can lose power: remembers, for every write to the database's files that was not synced yet, what stood
 * there before. Preloaded into the serving process (LD_PRELOAD); the test kills the process and then plays the records
 * back, as storage does that loses what was never flushed.
 *
 *   POWER_FILES   only files below this folder are watched
 *   POWER_UNDO    folder for the records, one file per watched file
 *   POWER_LIES    if set, a flush is acknowledged and forgets nothing: storage that ignores flushes (the control)
 *
 * A record is five 64-bit numbers and then bytes: magic, offset, length of what was written, size of the file before,
 * number of bytes that stood there; the bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x0acceded15c0ffeeULL

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The record file of a watched descriptor, or -1. The caller closes it. */
static int record_of(int fd) {
    const char *files = getenv("POWER_FILES"), *undo = getenv("POWER_UNDO");
    char link[64], path[PATH_MAX], record[PATH_MAX * 2];
    if (!files || !undo) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return -1;
    path[length] = 0;
    size_t prefix = strlen(files);
    if (strncmp(path, files, prefix) != 0 || path[prefix] != '/') return -1;
    const char *name = path + prefix + 1;
    /* Only the database and its log: shared memory is rebuilt, and locks hold nothing. */
    size_t end = strlen(name);
    int is_database = end > 3 && strcmp(name + end - 3, ".db") == 0;
    int is_log = end > 4 && strcmp(name + end - 4, "-wal") == 0;
    if (!is_database && !is_log) return -1;
    snprintf(record, sizeof record, "%s/%s", undo, name);
    return REAL(open)(record, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
}

/* Keeps what stands in [offset, offset + length) before it is written over or cut off. */
static void keep(int record, int fd, off_t offset, size_t length) {
    struct stat stat;
    if (fstat(fd, &stat) != 0) return;
    size_t known = 0;
    if (offset < stat.st_size) {
        known = (size_t)(stat.st_size - offset);
        if (known > length) known = length;
    }
    uint64_t head[5] = {MAGIC, (uint64_t)offset, length, (uint64_t)stat.st_size, known};
    char *whole = malloc(sizeof head + known);
    if (!whole) abort();
    memcpy(whole, head, sizeof head);
    if (known && pread(fd, whole + sizeof head, known, offset) != (ssize_t)known) abort();
    /* One append, so that a kill leaves whole records. */
    if (REAL(write)(record, whole, sizeof head + known) != (ssize_t)(sizeof head + known)) abort();
    free(whole);
}

static void begin(int fd, off_t offset, size_t length) {
    pthread_mutex_lock(&turn);
    int saved = errno, record = record_of(fd);
    if (record >= 0) {
        keep(record, fd, offset, length);
        REAL(close)(record);
    }
    errno = saved;
}

static void end(void) { pthread_mutex_unlock(&turn); }

ssize_t write(int fd, const void *bytes, size_t length) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (offset < 0) return REAL(write)(fd, bytes, length); /* a socket or a pipe */
    begin(fd, offset, length);
    ssize_t written = REAL(write)(fd, bytes, length);
    end();
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    begin(fd, offset, length);
    ssize_t written = REAL(pwrite64)(fd, bytes, length, offset);
    end();
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

int ftruncate64(int fd, off64_t length) {
    struct stat stat;
    size_t cut = fstat(fd, &stat) == 0 && length < stat.st_size ? (size_t)(stat.st_size - length) : 0;
    begin(fd, length, cut);
    int outcome = REAL(ftruncate64)(fd, length);
    end();
    return outcome;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int flushed(int fd, int (*flush)(int)) {
    pthread_mutex_lock(&turn);
    int outcome = getenv("POWER_LIES") ? 0 : flush(fd);
    int saved = errno;
    if (outcome == 0 && !getenv("POWER_LIES")) {
        int record = record_of(fd);
        if (record >= 0) {
            if (REAL(ftruncate64)(record, 0) != 0) abort();
            REAL(close)(record);
        }
    }
    errno = saved;
    pthread_mutex_unlock(&turn);
    return outcome;
}

int fsync(int fd) { return flushed(fd, REAL(fsync)); }
int fdatasync(int fd) { return flushed(fd, REAL(fdatasync)); }
