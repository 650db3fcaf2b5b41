# A tiny pkgs: text files and scripts that Nix really builds with /bin/sh, and programs as links to the host's /usr.
{
  lib,
  system ? "x86_64-linux",
}:
let
  build =
    name: environment: script:
    derivation (
      environment
      // {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-euc"
          "export PATH=/usr/bin:/bin\n${script}"
        ];
      }
    );

  program = name: build name { } "mkdir -p $out/bin; ln -s /usr/bin/${name} $out/bin/${name}";
in
rec {
  inherit lib;
  path = "/stand-in/for/nixpkgs"; # nothing that is tested with it may need all of nixpkgs
  runCommand = name: environment: script: build name environment script;
  writeText = name: text: build name { inherit text; } ''printf %s "$text" > $out'';
  writeShellScript =
    name: text:
    build name { text = "#!/bin/sh\n${text}"; } ''
      printf %s "$text" > $out
      chmod +x $out
    '';
  callPackage = file: overrides: program "hive-ag3nt";
  claude-code = program "claude";
  bash = program "bash";
  bubblewrap = program "bwrap";
  coreutils = program "env";
  git = program "git";
  gnugrep = program "grep";
  nix = program "nix";
  ripgrep = program "rg";
  socat = program "socat";
  systemd = program "systemd-run";
  util-linux = program "prlimit";
  nixfmt = program "nixfmt";
  nixfmt-tree = program "treefmt";
  mkShell = { packages }: build "shell" { inherit packages; } "echo $packages > $out";
  python3.withPackages = choose: program "python3";
  python3Packages.numpy = program "python3";
}
