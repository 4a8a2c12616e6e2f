"""Stage 0: the text given to ``python3 -I -S -c``. It contains no data, so no secret appears in the process list.

It prints READY with its protocol, its Python version and the hashes of the sources that root's earlier runs kept
compiled in ``/run/encamp`` (see ``encamp.agent.code_cache``), skips stray lines until the announced header, reads
exactly that many bytes, and hands the sources to an in-memory importer: the agent is never written to the host's disk.
It imports what all runs need after READY, while the answer is on its way.

Kept sources are used only from a directory that only root can enter, for the same Python version, and with a matching
hash.
"""

from __future__ import annotations

STAGE0 = r"""
import os,sys,gc,select,marshal
gc.disable()
try: from _sha2 import sha256
except ImportError:
    try: from _sha256 import sha256
    except ImportError: from hashlib import sha256
def take(n):
    while 1:
        try: return os.read(0,n)
        except BlockingIOError: select.select([0],[],[])
at="/run/encamp"
tag="-%x"%sys.hexversion
kept={}
try:
    d=os.open(at,os.O_DIRECTORY|os.O_NOFOLLOW)
    s=os.fstat(d)
    if s.st_uid==os.geteuid()==0==s.st_mode&0o77:
        for n in os.listdir(d):
            if n.endswith(tag):
                with os.fdopen(os.open(n,os.O_NOFOLLOW,dir_fd=d),"rb") as f: b=f.read()
                if sha256(n.encode()+b[32:]).digest()==b[:32]: kept[n[:64]]=b[32:]
except (OSError,AttributeError): pass
os.write(1,b"READY 1 %d.%d.%d%s\n"%(*sys.version_info[:3],"".join(" "+n for n in kept).encode()))
import json,zlib,hashlib,threading,subprocess,http.client
line=b""
while not line.startswith(b"ENCAMP "):
    line=b""
    while not line.endswith(b"\n"):
        c=take(1)
        if not c: sys.exit(3)
        line+=c
def load(left):
    parts=[]
    left=int(left)
    while left:
        c=take(min(left,65536))
        if not c: sys.exit(3)
        parts.append(c);left-=len(c)
    return b"".join(parts)
_,n,m,key=line.decode().split()
src=json.loads(zlib.decompress(load(n))) if n!="0" else marshal.loads(kept[key])
job=json.loads(zlib.decompress(load(m)))
class Memory:
    ask=None
    def find_spec(self,name,path=None,target=None):
        if name not in src and self.ask and name.split(".")[0] in src:
            late=self.ask(name)
            src.update(late);self.new.update(late)
        if name in src: return spec(name,self,is_package=src[name][0])
    def create_module(self,s): pass
    def code(self,n):
        s=src[n][1]
        if type(s) is not str: return marshal.loads(s)
        return compile(s,"<encamp>/"+n.replace(".","/")+".py","exec",dont_inherit=True)
    def exec_module(self,m):
        n=m.__name__;c=self.code(n);m.__file__=c.co_filename
        exec(c,m.__dict__)
    def get_source(self,n): return src[n][1] if type(src[n][1]) is str else None
spec=type(sys.__spec__)
memory=Memory()
memory.at,memory.name,memory.src,memory.new=at,key+tag,src,dict(src) if n!="0" else {}
sys.meta_path.insert(0,memory)
from encamp.agent.main import main
main(job,memory)
"""
