// SPDX-License-Identifier: MIT
// The version of synfp and the namespace every public name lives in. CMake parses the version from here.
#pragma once

#define SYNFP_VERSION_MAJOR 0
#define SYNFP_VERSION_MINOR 1
#define SYNFP_VERSION_PATCH 0

// Everything is in synfp::abi_v3, which is inline: users write synfp::endpoint, and two versions in one
// binary do not collide.
#define SYNFP_BEGIN_NAMESPACE \
  namespace synfp {           \
  inline namespace abi_v3 {
#define SYNFP_END_NAMESPACE \
  }                         \
  }

// What crosses a shared object's border by identity (exceptions) must not be hidden by -fvisibility=hidden.
#define SYNFP_VISIBLE __attribute__((visibility("default")))
