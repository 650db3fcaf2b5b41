# Lists and attribute sets.
{ lib }:
rec {
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalAttrs = condition: values: if condition then values else { };
  optionalString = condition: text: if condition then text else "";
  flatten = value: if builtins.isList value then builtins.concatMap flatten value else [ value ];
  unique = builtins.foldl' (seen: value: if builtins.elem value seen then seen else seen ++ [ value ]) [ ];
  last = list: builtins.elemAt list (builtins.length list - 1);
  init = list: builtins.genList (builtins.elemAt list) (builtins.length list - 1);
  imap0 = f: list: builtins.genList (index: f index (builtins.elemAt list index)) (builtins.length list);
  min = a: b: if a < b then a else b;

  nameValuePair = name: value: { inherit name value; };
  filterAttrs =
    keep: set: builtins.removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
  filterAttrsRecursive =
    keep: set:
    builtins.mapAttrs (_: value: if builtins.isAttrs value then filterAttrsRecursive keep value else value) (
      filterAttrs keep set
    );
  mapAttrs' = f: set: builtins.listToAttrs (map (name: f name set.${name}) (builtins.attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
  genAttrs =
    names: f:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = f name;
      }) names
    );
  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if set ? ${builtins.head path} then
      attrByPath (builtins.tail path) default set.${builtins.head path}
    else
      default;
  getAttrFromPath =
    path: set:
    attrByPath path (throw "cannot find attribute `${builtins.concatStringsSep "." path}'") set;
  hasAttrByPath =
    path: set:
    path == [ ] || (set ? ${builtins.head path} && hasAttrByPath (builtins.tail path) set.${builtins.head path});
  setAttrByPath =
    path: value:
    if path == [ ] then value else { ${builtins.head path} = setAttrByPath (builtins.tail path) value; };
  recursiveUpdate =
    left: right:
    left
    // builtins.mapAttrs (
      name: value:
      if builtins.isAttrs value && builtins.isAttrs (left.${name} or null) then recursiveUpdate left.${name} value else value
    ) right;
  mapAttrsRecursive =
    f:
    let
      recurse =
        path: builtins.mapAttrs (name: value: if builtins.isAttrs value then recurse (path ++ [ name ]) value else f (path ++ [ name ]) value);
    in
    recurse [ ];
  isType = kind: value: (value._type or null) == kind;
  id = value: value;
  assertMsg = condition: message: condition || throw message;
  throwIfNot = condition: message: if condition then lib.id else throw message;
}
