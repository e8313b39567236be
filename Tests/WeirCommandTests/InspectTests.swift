import Foundation
import Testing
import WeirTestSupport

@Suite("weir inspect")
struct InspectTests {
    /// Signed by the key of tests, and a directory that trusts it.
    private func signed(in workspace: Workspace) async throws -> (bundle: String, trusted: String) {
        let key = try BundleFixture.key(in: workspace)
        let bundle = workspace.path + "/node-a.weir"
        try await BundleFixture.compile(
            BundleFixture.sources, to: bundle, "--node", "node-a", "--sign", key, "--serial", "7", "--created",
            "2026-11-21T20:15:00Z", "--source-revision", "4f2a")
        try workspace.write(
            "untrusted comment: of tests\nRWT+gSwS86tM5upKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs\n",
            to: "keys/release.pub")
        return (bundle, workspace.path + "/keys")
    }

    @Test(
        "It prints what a bundle holds and who signed it",
        arguments: [("table", "inspect.txt"), ("json", "inspect.json")])
    func golden(_ format: String, _ file: String) async throws {
        let workspace = try Workspace()
        let (bundle, trusted) = try await signed(in: workspace)
        let outcome = try await Weir.run([
            "inspect", bundle, "--trusted-keys", trusted, "--verify", "--output", format,
        ])
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        #expect(BundleFixture.steady(outcome.output) == (try BundleFixture.golden(file)))
        let piped = try await Weir.script(
            "cat \(bundle) | \"$weir\" inspect - --trusted-keys \(trusted) --output \(format)")
        #expect(piped.output == outcome.output)
    }

    @Test("Whether a signature is believed is said, and --verify ends with 3 where it is not")
    func trust() async throws {
        let workspace = try Workspace()
        let (bundle, trusted) = try await signed(in: workspace)
        let stranger = try await BundleFixture.freshKey("stranger", in: workspace)
        let unsigned = workspace.path + "/unsigned.weir"
        try await BundleFixture.compile(BundleFixture.sources, to: unsigned, "--node", "node-a")
        // The signature of one bundle behind another; digests fit, and nobody made it.
        let other = try await BundleFixture.compile(
            BundleFixture.sources, to: workspace.path + "/other.weir", "--node", "node-a", "--serial", "8")
        let signature = Array(try Data(contentsOf: URL(fileURLWithPath: bundle))).suffix(114)
        let forged = try workspace.write(other + signature, to: "forged.weir")
        for (path, keys, trust, says) in [
            (bundle, nil, "unchecked", ""), (unsigned, nil, "unsigned", ""), (bundle, trusted, "trusted", ""),
            (bundle, stranger.trusted, "untrusted", "which is not trusted here"),
            (unsigned, trusted, "unsigned", "the bundle is not signed"),
            (forged, trusted, "invalid", "the signature is not that of key"), (forged, nil, "unchecked", ""),
        ] as [(String, String?, String, String)] {
            let arguments = ["inspect", path] + (keys.map { ["--trusted-keys", $0] } ?? [])
            let plain = try await Weir.run(arguments + ["--output", "json"])
            #expect(plain.status == 0)
            let signature = try #require(plain.object?["signature"] as? [String: String])
            #expect(signature["trust"] == trust)
            #expect(signature["trustedAs"] == (trust == "trusted" ? "release.pub" : nil))
            guard keys != nil else { continue }
            let verify = try await Weir.run(arguments + ["--verify"])
            #expect(verify.status == (trust == "trusted" ? 0 : 3))
            #expect(!verify.output.isEmpty)
            #expect(says.isEmpty ? verify.errors.isEmpty : verify.errors.contains(says), "\(verify.errors)")
        }
        let environment = ["WEIR_TRUSTED_KEYS": trusted, "WEIR_VERIFY": "1"]
        #expect(try await Weir.run(["inspect", bundle], environment: environment).status == 0)
        #expect(try await Weir.run(["inspect", unsigned], environment: environment).status == 3)
        #expect(try await Weir.run(["inspect", bundle, "--verify"]).status == 64)
        let elsewhere = try await Weir.run(["inspect", bundle, "--node", "node-b"])
        #expect(elsewhere.status == 1)
        #expect(elsewhere.errors == "\(bundle): error: the bundle is for node 'node-a', not 'node-b' [unknown-node]\n")
    }

    @Test("A damaged bundle is 1, whoever is trusted, and so is none at all", arguments: ["cut", "flipped", "none"])
    func damaged(_ damage: String) async throws {
        let workspace = try Workspace()
        let (bundle, trusted) = try await signed(in: workspace)
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: bundle)))
        switch damage {
        case "cut": bytes.removeLast(bytes.count / 2)
        case "flipped": bytes[bytes.count / 2] ^= 1
        default: try FileManager.default.removeItem(atPath: bundle)
        }
        if damage != "none" { try workspace.write(bytes, to: "node-a.weir") }
        for arguments in [[], ["--trusted-keys", trusted, "--verify"]] {
            let outcome = try await Weir.run(["inspect", bundle] + arguments)
            #expect(outcome.status == 1)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors.hasPrefix("\(bundle): error: "))
            #expect(outcome.errors.hasSuffix(damage == "none" ? "[file-unreadable]\n" : "[invalid-bundle]\n"))
        }
    }

    @Test(
        "A trusted key must be out of everybody's reach, or nothing is believed",
        .enabled(if: KernelRequirement.isMet),
        arguments: [
            ("link", "is a link"), ("others", "has mode 666"), ("directory", "is no regular file"),
            ("owner", "belongs to user 65534"), ("text", "holds no public key"), ("private", "holds no public key"),
            ("open", "has mode 777"), ("empty", "is empty"), ("absent", "No such file or directory"),
            ("file", "is no directory"),
        ])
    func keysInReach(_ flaw: String, _ says: String) async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let workspace = try Workspace()
        let (bundle, trusted) = try await signed(in: workspace)
        let files = FileManager.default
        let second = trusted + "/second.pub"
        var directory = trusted
        switch flaw {
        case "link": try files.createSymbolicLink(atPath: second, withDestinationPath: trusted + "/release.pub")
        case "directory": try files.createDirectory(atPath: second, withIntermediateDirectories: false)
        case "text": try workspace.write("not a key\n", to: "keys/second.pub")
        case "private": try files.copyItem(atPath: BundleFixture.key(in: workspace), toPath: second)
        case "open": try files.setAttributes([.posixPermissions: 0o777], ofItemAtPath: trusted)
        case "empty": try files.removeItem(atPath: trusted + "/release.pub")
        case "absent": directory += "/none"
        case "file": directory += "/release.pub"
        default:
            try files.copyItem(atPath: trusted + "/release.pub", toPath: second)
            try files.setAttributes(
                flaw == "others" ? [.posixPermissions: 0o666] : [.ownerAccountID: 65534], ofItemAtPath: second)
        }
        let outcome = try await Weir.run(["inspect", bundle, "--trusted-keys", directory])
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains(says), "\(outcome.errors)")
    }
}
