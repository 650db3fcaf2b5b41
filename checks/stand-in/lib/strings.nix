# Strings.
{ lib }:
rec {
  concatMapStringsSep =
    separator: f: list:
    builtins.concatStringsSep separator (map f list);
  concatStrings = builtins.concatStringsSep "";
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      start = builtins.stringLength text - builtins.stringLength suffix;
    in
    start >= 0 && builtins.substring start (-1) text == suffix;
  removePrefix =
    prefix: text: if hasPrefix prefix text then builtins.substring (builtins.stringLength prefix) (-1) text else text;
  splitString = separator: text: builtins.filter builtins.isString (builtins.split (escapeRegex separator) text);
  escapeRegex =
    builtins.replaceStrings
      [ "\\" "." "*" "+" "?" "(" ")" "[" "]" "{" "}" "^" "$" "|" ]
      [ "\\\\" "\\." "\\*" "\\+" "\\?" "\\(" "\\)" "\\[" "\\]" "\\{" "\\}" "\\^" "\\$" "\\|" ];
  getName = package: package.pname or package.name;
  makeBinPath = concatMapStringsSep ":" (package: "${package}/bin");
  escapeShellArg = value: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString value)}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  boolToString = value: if value then "true" else "false";
  generators = {
    toGitINI =
      sections:
      concatStrings (
        lib.mapAttrsToList (
          section: values:
          "[${section}]\n"
          + concatStrings (lib.mapAttrsToList (name: value: "\t${name} = ${builtins.toJSON value}\n") values)
        ) sections
      );
  };
}
