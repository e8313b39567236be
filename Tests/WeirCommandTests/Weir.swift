import Subprocess
import Testing

@Test func placeholder() {}
