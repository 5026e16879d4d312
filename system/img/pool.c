/* Threads that share one job of myna-img, and the order of their writes. */
#include "system/img/pool.h"

#include "system/img/img.h"

#define PROGRESS_US 50000

typedef struct Worker {
    ImgPool *pool;
    ImgPoolFn *fn;
    void *opaque;
    unsigned *running;
} Worker;

void img_pool_init(ImgPool *pool, uint64_t total)
{
    *pool = (ImgPool){ .total = total };
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->changed);
}

void img_pool_clear(ImgPool *pool)
{
    g_mutex_clear(&pool->lock);
    g_cond_clear(&pool->changed);
}

static void *work(void *opaque)
{
    Worker *worker = opaque;

    worker->fn(worker->pool, worker->opaque);
    g_mutex_lock(&worker->pool->lock);
    --*worker->running;
    g_cond_broadcast(&worker->pool->changed);
    g_mutex_unlock(&worker->pool->lock);
    return NULL;
}

void img_pool_run(ImgPool *pool, unsigned threads, ImgPoolFn *fn, void *opaque)
{
    unsigned running = threads;
    Worker worker = { pool, fn, opaque, &running };
    g_autofree GThread **thread = g_new(GThread *, threads);

    for (unsigned i = 0; i < threads; i++) {
        thread[i] = g_thread_new("img", work, &worker);
    }
    g_mutex_lock(&pool->lock);
    while (running) {
        g_cond_wait_until(&pool->changed, &pool->lock, g_get_monotonic_time() + PROGRESS_US);
        g_mutex_unlock(&pool->lock);
        img_progress(__atomic_load_n(&pool->done, __ATOMIC_RELAXED), pool->total);
        g_mutex_lock(&pool->lock);
    }
    g_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < threads; i++) {
        g_thread_join(thread[i]);
    }
}

bool img_pool_fail(ImgPool *pool, int error)
{
    bool first;

    g_mutex_lock(&pool->lock);
    first = !pool->failed;
    if (first) {
        __atomic_store_n(&pool->failed, error, __ATOMIC_RELAXED);
    }
    g_cond_broadcast(&pool->changed);
    g_mutex_unlock(&pool->lock);
    return first;
}

bool img_pool_failed(ImgPool *pool)
{
    return __atomic_load_n(&pool->failed, __ATOMIC_RELAXED);
}

void img_pool_add_done(ImgPool *pool, uint64_t bytes)
{
    __atomic_fetch_add(&pool->done, bytes, __ATOMIC_RELAXED);
}

bool img_pool_wait_turn(ImgPool *pool, uint64_t ticket)
{
    bool ok;

    g_mutex_lock(&pool->lock);
    while (pool->turn != ticket && !pool->failed) {
        g_cond_wait(&pool->changed, &pool->lock);
    }
    ok = !pool->failed;
    g_mutex_unlock(&pool->lock);
    return ok;
}

void img_pool_pass_turn(ImgPool *pool, uint64_t ticket)
{
    g_mutex_lock(&pool->lock);
    pool->turn = ticket + 1;
    g_cond_broadcast(&pool->changed);
    g_mutex_unlock(&pool->lock);
}

unsigned img_pool_default_threads(void)
{
    return CLAMP(g_get_num_processors(), 8, 16);
}
