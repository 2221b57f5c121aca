/* Stands between syncd and the C library, and writes down what is written to its database files, and what is synced.
 *
 * Built and preloaded by tests/crash/disk.py. The files are those of the folder $DISK_FOLDER whose names end as in
 * `kinds`. Each call is made and written down under one lock, so the journal $DISK_JOURNAL has them in the order in
 * which they happened. While the file $DISK_FAULT is there, what it holds (a number of errno) is how writing fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FILES 65536

static const char *const kinds[] = {".db", ".db-wal", ".high-water", ".db-journal"};
static unsigned char kind_of[MOST_FILES]; /* 0: not ours, else the place in `kinds` and one */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;

struct __attribute__((packed)) record {
    char what; /* w: written, t: cut, s: synced */
    unsigned char kind;
    uint64_t offset;
    uint64_t length;
};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static unsigned char kind_of_path(const char *path)
{
    const char *folder = getenv("DISK_FOLDER");
    size_t length = strlen(path);
    if (folder == NULL || strncmp(path, folder, strlen(folder)) != 0)
        return 0;
    for (unsigned char kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        size_t end = strlen(kinds[kind]);
        if (length > end && strcmp(path + length - end, kinds[kind]) == 0)
            return kind + 1;
    }
    return 0;
}

static unsigned char kind_of_descriptor(int descriptor)
{
    return descriptor >= 0 && descriptor < MOST_FILES ? kind_of[descriptor] : 0;
}

static int fault(void)
{
    const char *path = getenv("DISK_FAULT");
    char text[16] = "";
    if (path == NULL)
        return 0;
    int descriptor = (int)REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    ssize_t length = read(descriptor, text, sizeof text - 1);
    REAL(close)(descriptor);
    return length > 0 ? atoi(text) : 0;
}

static void note(char what, unsigned char kind, uint64_t offset, uint64_t length, const void *data)
{
    struct record record = {what, kind, offset, length};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)data, data == NULL ? 0 : length}};
    const char *path = getenv("DISK_JOURNAL");
    if (journal < 0 && path != NULL)
        journal = (int)REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal >= 0 && writev(journal, parts, 2) < 0)
        abort();
}

static int opened(int descriptor, const char *path)
{
    if (descriptor >= 0 && descriptor < MOST_FILES)
        kind_of[descriptor] = kind_of_path(path);
    return descriptor;
}

static int is_refused(const char *path, int flags)
{
    int number = kind_of_path(path) != 0 && (flags & O_ACCMODE) != O_RDONLY ? fault() : 0;
    if (number == EROFS) {
        errno = number;
        return 1;
    }
    return 0;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;                                      \
        va_end(more);                                                                                                  \
        return is_refused(path, flags) ? -1 : opened(REAL(name)(path, flags, mode), path);                             \
    }
OPEN(open)
OPEN(open64)

int close(int descriptor)
{
    if (kind_of_descriptor(descriptor))
        kind_of[descriptor] = 0;
    return REAL(close)(descriptor);
}

#define PWRITE(name, offset_type)                                                                                      \
    ssize_t name(int descriptor, const void *data, size_t length, offset_type offset)                                  \
    {                                                                                                                  \
        unsigned char kind = kind_of_descriptor(descriptor);                                                           \
        if (!kind)                                                                                                     \
            return REAL(name)(descriptor, data, length, offset);                                                       \
        pthread_mutex_lock(&lock);                                                                                     \
        int number = fault();                                                                                          \
        ssize_t done = number ? -1 : REAL(name)(descriptor, data, length, offset);                                     \
        if (number)                                                                                                    \
            errno = number;                                                                                            \
        if (done > 0)                                                                                                  \
            note('w', kind, (uint64_t)offset, (uint64_t)done, data);                                                   \
        pthread_mutex_unlock(&lock);                                                                                   \
        return done;                                                                                                   \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type)                                                                                    \
    int name(int descriptor, offset_type length)                                                                       \
    {                                                                                                                  \
        unsigned char kind = kind_of_descriptor(descriptor);                                                           \
        if (!kind)                                                                                                     \
            return REAL(name)(descriptor, length);                                                                     \
        pthread_mutex_lock(&lock);                                                                                     \
        int number = fault();                                                                                          \
        int done = number ? -1 : REAL(name)(descriptor, length);                                                       \
        if (number)                                                                                                    \
            errno = number;                                                                                            \
        if (done == 0)                                                                                                 \
            note('t', kind, (uint64_t)length, 0, NULL);                                                                \
        pthread_mutex_unlock(&lock);                                                                                   \
        return done;                                                                                                   \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                                                     \
    int name(int descriptor)                                                                                           \
    {                                                                                                                  \
        unsigned char kind = kind_of_descriptor(descriptor);                                                           \
        if (!kind)                                                                                                     \
            return REAL(name)(descriptor);                                                                             \
        pthread_mutex_lock(&lock);                                                                                     \
        int number = fault();                                                                                          \
        int done = number == EIO ? -1 : REAL(name)(descriptor);                                                        \
        if (number == EIO)                                                                                             \
            errno = number;                                                                                            \
        if (done == 0)                                                                                                 \
            note('s', kind, 0, 0, NULL);                                                                               \
        pthread_mutex_unlock(&lock);                                                                                   \
        return done;                                                                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)

/* SQLite writes by pwrite alone; a write() to one of its files would be one that nobody has written down. */
ssize_t write(int descriptor, const void *data, size_t length)
{
    if (kind_of_descriptor(descriptor))
        abort();
    return REAL(write)(descriptor, data, length);
}
