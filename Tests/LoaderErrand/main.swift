import LoaderBed

try Errand.run(CommandLine.arguments[1])
