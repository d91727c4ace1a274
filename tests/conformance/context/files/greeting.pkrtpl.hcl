${upper(text)} %{ for n in names ~}${n};%{ endfor }
