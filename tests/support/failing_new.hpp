// SPDX-License-Identifier: MIT
// operator new of the whole program, which fails when a test says so. Include it in one source file.
#pragma once

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace synfp::test::memory {

inline std::atomic<long> until_failure{0};  // allocations that still succeed, once armed
inline std::atomic<long> failures{0};       // how many fail then
inline std::atomic<long> failed{0};
inline std::atomic<bool> armed{false};
/// Bytes that are allocated now, by all threads.
inline std::atomic<std::size_t> in_use{0};
/// Threads that are not tested.
inline thread_local bool immune = false;

/// From now on `after` allocations succeed, then `count` fail, all threads but the immune ones together.
inline void arm(long after, long count) {
  until_failure = after;
  failures = count;
  failed = 0;
  armed = true;
}
/// There is memory again. Returns how many allocations failed.
inline long disarm() {
  armed = false;
  return failed;
}

inline bool fails() noexcept {
  if (!armed || immune || until_failure-- > 0 || failures-- <= 0) return false;
  ++failed;
  return true;
}

inline void* allocate(std::size_t size) noexcept {
  void* p = fails() ? nullptr : std::malloc(size != 0 ? size : 1);
  in_use += ::malloc_usable_size(p);
  return p;
}
inline void release(void* p) noexcept {
  in_use -= ::malloc_usable_size(p);
  std::free(p);
}
inline void* allocate_or_throw(std::size_t size) {
  if (void* p = allocate(size)) return p;
  throw std::bad_alloc();
}

}  // namespace synfp::test::memory

void* operator new(std::size_t size) { return synfp::test::memory::allocate_or_throw(size); }
void* operator new[](std::size_t size) { return synfp::test::memory::allocate_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return synfp::test::memory::allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return synfp::test::memory::allocate(size);
}
void operator delete(void* p) noexcept { synfp::test::memory::release(p); }
void operator delete[](void* p) noexcept { synfp::test::memory::release(p); }
void operator delete(void* p, std::size_t) noexcept { synfp::test::memory::release(p); }
void operator delete[](void* p, std::size_t) noexcept { synfp::test::memory::release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { synfp::test::memory::release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { synfp::test::memory::release(p); }
