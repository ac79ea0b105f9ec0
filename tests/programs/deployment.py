#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is shipped to run synfpd: the manifests for Kubernetes and the units of systemd say the same, ask for options that
synfpd has, and give servers no privilege. Usage: deployment.py SYNFPD SOURCE_DIRECTORY [unittest arguments]."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

SYNFPD, SOURCE = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
FILES = os.path.join(SOURCE, "tools", "synfpd")
# The package is Debian's, and so is the interpreter that finds it.
READ = ["/usr/bin/python3", "-c", "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"]


def manifests():
    with open(os.path.join(FILES, "daemonset.yaml")) as file:
        done = subprocess.run(READ, stdin=file, capture_output=True, text=True, check=True)
    return {one["kind"]: one for one in json.loads(done.stdout)}


def settings(unit):
    """All values of each key, in order."""
    found = {}
    with open(os.path.join(FILES, unit)) as file:
        for key, value in re.findall(r"^(\w+)=(.*)$", file.read(), re.M):
            found.setdefault(key, []).append(value)
    return found


def options_of_synfpd():
    return set(re.findall(r"--[a-z]+", subprocess.run([SYNFPD, "--help"], capture_output=True, text=True).stdout))


class Deployment(unittest.TestCase):
    def test_the_daemon_has_exactly_what_the_unit_has(self):
        pod = manifests()["DaemonSet"]["spec"]["template"]["spec"]
        self.assertNotIn("hostNetwork", pod)
        self.assertNotIn("hostPID", pod)
        container, = pod["containers"]
        context = container["securityContext"]
        self.assertEqual((context["privileged"], context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]),
                         (False, False, True))
        self.assertEqual(context["capabilities"]["drop"], ["ALL"])
        unit = settings("synfpd.service")
        self.assertEqual({"CAP_" + one for one in context["capabilities"]["add"]},
                         set(unit["CapabilityBoundingSet"][0].split()))
        with open(os.path.join(FILES, "capabilities.hpp")) as file:
            kept = re.search(r"reload_capabilities\{(.*?)\}", file.read(), re.S)[1]
        self.assertEqual(set(re.findall(r"CAP_\w+", kept)), set(unit["CapabilityBoundingSet"][0].split()))
        self.assertEqual(sorted(volume["hostPath"]["path"] for volume in pod["volumes"]),
                         ["/run/synfpd", "/sys/fs/bpf", "/sys/fs/cgroup"])
        self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, {v["name"] for v in pod["volumes"]})

    def test_options_exist(self):
        options = options_of_synfpd()
        self.assertIn("--cgroup", options)
        args = manifests()["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in [*args, *settings("synfpd.service")["ExecStart"][0].split()[1:]]:
            if one.startswith("--"):
                self.assertIn(one.partition("=")[0], options)

    def test_the_server_has_no_privilege(self):
        pod = manifests()["Deployment"]["spec"]["template"]["spec"]
        context = pod["containers"][0]["securityContext"]
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        mount, = pod["containers"][0]["volumeMounts"]
        self.assertEqual((mount["mountPath"], mount["readOnly"]), ("/run/synfpd", True))
        group = [one for one in manifests()["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]["args"]
                 if one.startswith("--group=")]
        self.assertEqual(group, [f"--group={pod['securityContext']['supplementalGroups'][0]}"])
        unit = settings("example-server.service")
        self.assertEqual(unit["CapabilityBoundingSet"], [""])
        self.assertEqual(unit["SystemCallFilter"], ["@system-service", "~bpf"])

    def test_each_selector_finds_its_pods(self):
        all_of = manifests()
        for kind in ("DaemonSet", "Deployment"):
            spec = all_of[kind]["spec"]
            self.assertEqual(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"])
        self.assertEqual(all_of["Service"]["spec"]["selector"], all_of["Deployment"]["spec"]["selector"]["matchLabels"])
        self.assertEqual(all_of["Service"]["spec"]["externalTrafficPolicy"], "Local")

    def test_systemd_accepts_the_units(self):
        with tempfile.TemporaryDirectory() as scratch:
            for name in ("synfpd.service", "example-server.service"):
                with open(os.path.join(FILES, name)) as file:
                    text = file.read().replace("/usr/sbin/synfpd", SYNFPD)
                with open(os.path.join(scratch, name), "w") as file:
                    file.write(text)
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"{scratch}/synfpd.service",
                                   f"{scratch}/example-server.service"], capture_output=True, text=True, timeout=60)
            ours = [line for line in (done.stdout + done.stderr).splitlines() if "synfpd" in line or "example-server" in line]
            self.assertEqual(ours, [])
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
