# Every option that a person may set, as a list that JSON can hold; tools/options renders docs/options.md from it.
# A default or example is { value }, { code } (an expression's text) or { words }; what is not there has no attribute.
{ lib }:
let
  shown = value: if value ? _type then { code = value.text; } else { inherit value; };

  described =
    option:
    {
      name = builtins.concatStringsSep "." option.loc;
      inherit (option) loc;
      type = option.type.description;
      readOnly = option.readOnly or false;
      description = option.description or "";
    }
    // lib.optionalAttrs (option ? default) { default = shown option.default; }
    // lib.optionalAttrs (option ? defaultText) {
      default = if builtins.isString option.defaultText then { words = option.defaultText; } else shown option.defaultText;
    }
    // lib.optionalAttrs (option ? example) { example = shown option.example; };

  # An option, and those below it where it is a submodule's; _module is the module system's own.
  listed =
    tree:
    if lib.isType "option" tree then
      [ (described tree) ] ++ listed (tree.type.getSubOptions tree.loc)
    else
      builtins.concatMap listed (builtins.attrValues (builtins.removeAttrs tree [ "_module" ]));

  optionsOf = module: (lib.evalModules { modules = [ module ]; }).options;
in
listed (optionsOf ../modules/options.nix) ++ listed (optionsOf ../modules/agent.nix)
