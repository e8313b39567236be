// swift-tools-version: 6.2
import PackageDescription

// One line per responsibility. A target may depend only on targets above it here;
// ARCHITECTURE.md has the same table with the reasons.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "weir",
    products: [.executable(name: "weir", targets: ["weir"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        // The one definition of every map key and value, shared with the BPF programs.
        .systemLibrary(name: "WeirABI", path: "bpf/abi"),

        // Pure: no backend, no system call.
        .target(name: "WeirDiagnostics", swiftSettings: strict),
        .target(name: "WeirJSON", swiftSettings: strict),
        .target(
            name: "WeirSyntax",
            dependencies: [
                "WeirDiagnostics", .product(name: "Yams", package: "Yams"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(name: "WeirModel", dependencies: ["WeirDiagnostics"], swiftSettings: strict),
        .target(name: "WeirPolicy", dependencies: ["WeirSyntax", "WeirModel"], swiftSettings: strict),
        .target(name: "WeirInventory", dependencies: ["WeirJSON", "WeirSyntax", "WeirModel"], swiftSettings: strict),
        .target(name: "WeirMaps", dependencies: ["WeirABI"], swiftSettings: strict),
        .target(
            name: "WeirImage",
            dependencies: [
                "WeirABI", "WeirMaps", "WeirModel",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(
            name: "WeirCompiler",
            dependencies: [
                "WeirABI", "WeirMaps", "WeirModel", "WeirImage",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: strict),
        .target(
            name: "WeirLint",
            dependencies: ["WeirDiagnostics", "WeirSyntax", "WeirModel", "WeirMaps", "WeirImage", "WeirCompiler"],
            swiftSettings: strict),
        .target(
            name: "WeirDiff", dependencies: ["WeirABI", "WeirMaps", "WeirModel", "WeirImage", "WeirCompiler"],
            swiftSettings: strict),
        .target(
            name: "WeirWireGuard",
            dependencies: ["WeirDiagnostics", "WeirModel", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .target(
            name: "WeirBundle",
            dependencies: [
                "WeirABI", "WeirModel", "WeirMaps", "WeirImage", "WeirWireGuard",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(name: "WeirCNI", dependencies: ["WeirJSON", "WeirModel"], swiftSettings: strict),
        .target(
            name: "WeirFlow", dependencies: ["WeirJSON", "WeirSyntax", "WeirModel", "WeirImage"], swiftSettings: strict),
        .target(
            name: "WeirEmulator", dependencies: ["WeirABI", "WeirImage", "WeirMaps", "WeirFlow", "WeirModel"],
            swiftSettings: strict),
        .target(
            name: "WeirExpectation",
            dependencies: [
                "WeirABI", "WeirDiagnostics", "WeirJSON", "WeirSyntax", "WeirModel", "WeirPolicy", "WeirImage",
                "WeirFlow", "WeirEmulator",
            ],
            swiftSettings: strict),

        .target(
            name: "WeirExplain",
            dependencies: [
                "WeirABI", "WeirDiagnostics", "WeirModel", "WeirMaps", "WeirImage", "WeirCompiler", "WeirFlow",
            ],
            swiftSettings: strict),
        .target(
            name: "WeirInspect", dependencies: ["WeirABI", "WeirMaps", "WeirModel", "WeirImage"], swiftSettings: strict),

        // The node: libbpf in one target, netlink in one, orchestration above both.
        .systemLibrary(name: "CLibbpf", path: "Sources/CLibbpf"),
        .target(name: "WeirObjects"),
        .target(
            name: "WeirKernel",
            dependencies: [
                "CLibbpf", "WeirABI", "WeirObjects", "WeirModel", "WeirImage", "WeirMaps", "WeirFlow",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict,
            linkerSettings: [.linkedLibrary(":libbpf.a"), .linkedLibrary(":libelf.a"), .linkedLibrary(":libz.a")]),
        .target(
            name: "CLibnl",
            // Debian keeps libnl's headers in a folder of their own; pkg-config would also link it dynamically.
            cSettings: [.unsafeFlags(["-I/usr/include/libnl3"])],
            linkerSettings: [.linkedLibrary(":libnl-3.a")]),
        .target(
            name: "WeirNetlink",
            dependencies: [
                "CLibnl", "WeirModel", "WeirWireGuard", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(
            name: "WeirLoader",
            dependencies: [
                "WeirABI", "WeirKernel", "WeirNetlink", "WeirModel", "WeirImage", "WeirMaps", "WeirFlow",
                "WeirWireGuard", "WeirBundle", "WeirEmulator", "WeirInspect",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // What is to be in force on a node, from all that anybody told it.
        .target(
            name: "WeirNode",
            dependencies: [
                "WeirDiagnostics", "WeirSyntax", "WeirModel", "WeirInventory", "WeirImage", "WeirCompiler",
                "WeirBundle",
                "WeirLoader",
            ],
            swiftSettings: strict),
        // What the Swift runtime wants of /proc.
        .target(name: "CStart"),
        .executableTarget(
            name: "weir",
            dependencies: [
                "CStart", "WeirABI", "WeirDiagnostics", "WeirSyntax", "WeirModel", "WeirPolicy", "WeirInventory",
                "WeirMaps",
                "WeirImage", "WeirCompiler", "WeirLint", "WeirDiff", "WeirWireGuard", "WeirBundle", "WeirCNI",
                "WeirFlow",
                "WeirEmulator", "WeirExpectation", "WeirExplain", "WeirInspect", "WeirKernel", "WeirNetlink",
                "WeirLoader", "WeirNode",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            // The guides; of no use to the executable.
            exclude: ["Documentation.docc"],
            swiftSettings: strict),

        // Tests, and what several of them share.
        .target(
            name: "WeirTestSupport", dependencies: ["WeirModel"], path: "Tests/WeirTestSupport",
            swiftSettings: strict),
        .target(
            name: "InputTestSupport", dependencies: ["WeirSyntax"], path: "Tests/InputTestSupport",
            swiftSettings: strict),
        .target(
            name: "MapConformance", dependencies: ["WeirMaps", "WeirTestSupport"], path: "Tests/MapConformance",
            swiftSettings: strict),
        .target(
            name: "InputProperties",
            dependencies: ["WeirPolicy", "WeirInventory", "WeirCompiler", "WeirEmulator", "WeirTestSupport"],
            path: "Tests/InputProperties", swiftSettings: strict),
        .testTarget(
            name: "WeirProjectTests",
            dependencies: [
                "WeirDiagnostics", "WeirSyntax", "WeirPolicy", "WeirInventory", "WeirMaps", "WeirImage", "WeirCompiler",
                "WeirLint", "WeirLoader", "InputTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirSyntaxTests", dependencies: ["WeirSyntax", "InputTestSupport", "WeirTestSupport"],
            swiftSettings: strict),
        .testTarget(name: "WeirPolicyTests", dependencies: ["WeirPolicy", "InputTestSupport"], swiftSettings: strict),
        .testTarget(
            name: "WeirInventoryTests",
            dependencies: [
                "WeirInventory", "WeirCompiler", "WeirPolicy", "InputTestSupport", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirCompilerTests",
            dependencies: [
                "WeirABI", "WeirCompiler", "WeirEmulator", "WeirFlow", "WeirImage", "WeirMaps", "WeirModel",
                "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirLintTests",
            dependencies: [
                "WeirLint", "WeirCompiler", "WeirEmulator", "WeirFlow", "WeirImage", "WeirInventory", "WeirMaps",
                "WeirModel", "WeirPolicy", "InputTestSupport", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirExpectationTests",
            dependencies: [
                "WeirExpectation", "WeirCompiler", "WeirDiagnostics", "WeirEmulator", "WeirFlow", "WeirImage",
                "WeirInventory", "WeirModel", "WeirPolicy", "WeirSyntax", "InputTestSupport", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirExplainTests",
            dependencies: [
                "WeirExplain", "WeirCompiler", "WeirEmulator", "WeirFlow", "WeirImage", "WeirModel", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirDiffTests",
            dependencies: [
                "WeirDiff", "WeirCompiler", "WeirEmulator", "WeirFlow", "WeirImage", "WeirModel", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirEmulatorTests",
            dependencies: [
                "WeirEmulator", "WeirABI", "WeirDiagnostics", "WeirImage", "WeirMaps", "WeirFlow", "WeirModel",
                "MapConformance", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirInspectTests",
            dependencies: [
                "WeirInspect", "WeirABI", "WeirEmulator", "WeirImage", "WeirMaps", "WeirModel", "TestNetwork",
                "WeirTestSupport",
            ],
            swiftSettings: strict),
        // Root, in their own network namespaces; WEIR_REQUIRE_KERNEL=1 makes a missing capability a failure.
        .target(
            name: "TestNetwork",
            dependencies: ["WeirABI", "WeirDiagnostics", "WeirImage", "WeirMaps", "WeirModel", "WeirNetlink"],
            path: "Tests/TestNetwork", swiftSettings: strict),
        .target(
            name: "LoaderBed",
            dependencies: [
                "WeirABI", "WeirBundle", "WeirCompiler", "WeirDiagnostics", "WeirImage", "WeirKernel", "WeirLoader",
                "WeirModel", "WeirNetlink", "TestNetwork",
            ],
            path: "Tests/LoaderBed", swiftSettings: strict),
        .executableTarget(
            name: "LoaderErrand", dependencies: ["LoaderBed"], path: "Tests/LoaderErrand", swiftSettings: strict),
        .testTarget(
            name: "WeirKernelTests",
            dependencies: [
                "LoaderBed", "LoaderErrand", "CLibbpf", "WeirKernel", "WeirNetlink", "WeirABI", "WeirFlow", "WeirImage",
                "WeirMaps", "WeirModel",
                "MapConformance", "TestNetwork",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirNetlinkTests",
            dependencies: ["WeirNetlink", "WeirModel", "WeirWireGuard", "TestNetwork", "WeirTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "WeirWireGuardTests",
            dependencies: [
                "WeirWireGuard", "WeirDiagnostics", "WeirInventory", "WeirModel", "WeirSyntax", "InputTestSupport",
                "TestNetwork", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirBundleTests",
            dependencies: [
                "WeirBundle", "WeirABI", "WeirCompiler", "WeirEmulator", "WeirFlow", "WeirImage", "WeirInventory",
                "WeirMaps", "WeirModel", "WeirWireGuard", "WeirSyntax", "WeirDiagnostics", "WeirLoader",
                "WeirTestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirCNITests", dependencies: ["WeirCNI", "WeirJSON", "WeirModel", "WeirTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "WeirLoaderTests",
            dependencies: [
                "weir", "LoaderBed", "LoaderErrand", "CLibbpf", "WeirABI", "WeirBundle", "WeirCompiler",
                "WeirDiagnostics", "WeirLoader",
                "WeirKernel",
                "WeirNetlink",
                "WeirImage", "WeirMaps", "WeirModel", "TestNetwork", "WeirTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WeirConformanceTests",
            dependencies: [
                "WeirPolicy", "WeirInventory", "WeirCompiler", "WeirEmulator", "WeirKernel", "WeirTestSupport",
            ],
            swiftSettings: strict),
        // What the Kubernetes APIs promise, as tables that a person can check.
        .testTarget(
            name: "WeirSituationTests",
            dependencies: ["WeirPolicy", "WeirInventory", "WeirCompiler", "WeirEmulator", "InputTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "WeirFuzzTests", dependencies: ["weir", "InputProperties", "InputTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "WeirDifferentialTests",
            dependencies: [
                "WeirABI", "WeirCompiler", "WeirEmulator", "WeirFlow", "WeirImage", "WeirKernel", "WeirMaps",
                "WeirModel", "WeirTestSupport",
            ],
            swiftSettings: strict),
        // What scripts/bench runs, and what its traffic is made of.
        .target(name: "CBench", path: "Tests/CBench"),
        .executableTarget(
            name: "WeirBench",
            dependencies: [
                "CBench", "WeirABI", "WeirDiagnostics", "WeirSyntax", "WeirModel", "WeirPolicy", "WeirInventory",
                "WeirMaps", "WeirImage", "WeirCompiler", "WeirDiff", "WeirWireGuard", "WeirBundle", "WeirFlow",
                "WeirEmulator",
                "WeirKernel",
                "WeirNetlink", "TestNetwork", "WeirTestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/WeirBench", swiftSettings: strict),
        .testTarget(
            name: "WeirBenchTests", dependencies: ["WeirBench", "WeirModel", "TestNetwork"], swiftSettings: strict),
        // Nodes, pods and wireguard-go in namespaces.
        .testTarget(
            name: "WeirTunnelTests",
            dependencies: [
                "WeirDiagnostics", "WeirSyntax", "WeirModel", "WeirPolicy", "WeirInventory", "WeirImage",
                "WeirCompiler",
                "WeirWireGuard", "WeirKernel", "WeirNetlink", "WeirLoader", "TestNetwork",
            ],
            swiftSettings: strict),
        // Runs the built executable as a user would.
        .testTarget(
            name: "WeirCommandTests",
            dependencies: [
                "weir", "WeirFlow", "TestNetwork", "WeirTestSupport",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c2x
)

// libFuzzer brings its own main, so the harness exists only in the build that scripts/fuzz --guided makes.
if Context.environment["WEIR_GUIDED_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "GuidedFuzz", dependencies: ["InputProperties"], path: "Tests/GuidedFuzz",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}
