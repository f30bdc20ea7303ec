# bash completion for roost

_roost() {
  local cur prev words cword command
  _init_completion || return
  local commands="run check call emit reload status exec test bench new version help"
  command=${words[1]}
  if [ "$cword" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    return
  fi
  case $prev in
    --socket | --tls-ca | --tls-cert | --tls-key)
      _filedir
      return
      ;;
    -C)
      _filedir -d
      return
      ;;
    --url)
      local schemes="tcp:// tls://"
      [ "$command" = bench ] || schemes+=" nats:// redis:// mqtt:// amqp:// kafka://"
      mapfile -t COMPREPLY < <(compgen -W "$schemes" -- "$cur")
      return
      ;;
  esac
  local options="--help" target="--url --client --timeout --meta --tls-ca --tls-cert --tls-key --tls-name --insecure"
  case $command in
    run) options+=" -C --set" ;;
    check) options+=" -C --set --start" ;;
    call | emit) options+=" $target" ;;
    bench) options+=" ${target/ --meta/} -c -p -d --rate --warmup --expect --any --json" ;;
    reload) options+=" --socket" ;;
    status) options+=" --socket --json" ;;
    test) options+=" -C" ;;
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  fi
  case $command in
    run | check | exec | test) _filedir ;;
  esac
}

complete -F _roost roost
