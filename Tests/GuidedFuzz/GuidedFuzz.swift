import InputProperties
import WeirSyntax
import WeirTestSupport

/// What libFuzzer calls with each input; it traps where a property does not hold, and libFuzzer keeps the input.
@_cdecl("LLVMFuzzerTestOneInput")
public func checkInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer lends `count` bytes for the duration of the call.
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    var random = SeededGenerator(seed: UInt64(count))
    let report = InputProperties(SourceFile(path: "input.yaml", bytes: bytes)).check(&random)
    if let problem = report.problems.first { fatalError(problem) }
    return 0
}
