// SPDX-License-Identifier: MIT
// An intrusive list: linking never allocates, and a link takes itself out when it is destroyed.
#pragma once

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io::detail {

class thread_list;

/// Between two others, in a list; an end of the list is one too.
class list_place {
 public:
  constexpr list_place() noexcept = default;
  list_place(const list_place&) = delete;
  list_place& operator=(const list_place&) = delete;

 private:
  friend class list_link;
  friend class thread_list;
  list_place* next_ = nullptr;
  list_place* prev_ = nullptr;
};

/// Base class of what can be in a list.
class list_link : private list_place {
 public:
  constexpr list_link() noexcept = default;
  ~list_link() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }

 private:
  friend class thread_list;
};

/// Circular through its own head, which is tied up at the first push: so a thread_local list needs no dynamic
/// initialisation. Nor has it a destructor: to note that of a thread_local object takes memory, and glibc
/// ends the process if there is none. What is in it must not outlive its thread.
class thread_list {
 public:
  constexpr thread_list() noexcept = default;

  bool empty() const noexcept { return head_.next_ == nullptr || head_.next_ == &head_; }
  list_link* front() const noexcept { return empty() ? nullptr : static_cast<list_link*>(head_.next_); }

  /// `link` must not be in a list.
  void push_back(list_link& link) noexcept {
    if (head_.next_ == nullptr) head_.next_ = head_.prev_ = &head_;
    link.prev_ = head_.prev_;
    link.next_ = &head_;
    head_.prev_->next_ = &link;
    head_.prev_ = &link;
  }
  void push_front(list_link& link) noexcept {
    if (empty()) {
      push_back(link);
      return;
    }
    link.prev_ = &head_;
    link.next_ = head_.next_;
    head_.next_->prev_ = &link;
    head_.next_ = &link;
  }
  list_link* pop_front() noexcept {
    list_link* link = front();
    if (link != nullptr) link->unlink();
    return link;
  }
  /// Moves everything from `other` to the end of this one.
  void splice(thread_list& other) noexcept {
    while (list_link* link = other.pop_front()) push_back(*link);
  }

 private:
  list_place head_;
};

/// The same for everything else: what is in it may outlive it.
class list : public thread_list {
 public:
  constexpr list() noexcept = default;
  ~list() {
    while (pop_front() != nullptr) {
    }
  }
};

}  // namespace io::detail
SYNFP_END_NAMESPACE
